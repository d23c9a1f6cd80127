//! The CEL expressions by which a DeviceClass selects devices.
//!
//! Kubernetes has functions and types that are not in CEL itself. An expression that uses one is not evaluated:
//! no number is guessed.

use std::collections::HashMap;

use cel::{Context, Program, Value};
use contract::{Quoted, cut};

use super::{Attribute, Device};

/// Expressions are quoted up to this length.
const LONGEST: usize = 200;

/// An expression, and its text for messages.
pub(super) struct Selector {
    program: Program,
    text: String,
}

/// # Errors
/// The expression that cannot be read here.
pub(super) fn compile(expressions: &[String]) -> Result<Vec<Selector>, String> {
    let one = |text: &String| {
        let program = Program::compile(text).map_err(|_| not_evaluated(text))?;
        Ok(Selector { program, text: text.clone() })
    };
    expressions.iter().map(one).collect()
}

/// Whether a device satisfies all of them.
///
/// # Errors
/// The expression that cannot be evaluated here.
pub(super) fn select(selectors: &[Selector], device: &Device) -> Result<bool, String> {
    for Selector { program, text } in selectors {
        let mut context = Context::default();
        context.add_variable_from_value("device", variable(device));
        match program.execute(&context) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => return Ok(false),
            _ => return Err(not_evaluated(text)),
        }
    }
    Ok(true)
}

fn not_evaluated(text: &str) -> String {
    format!("has the selector {}, which cannot be evaluated here", Quoted(cut(text, LONGEST)))
}

/// `device.driver`, and `device.attributes["DOMAIN"].NAME`.
fn variable(device: &Device) -> Value {
    let mut domains: HashMap<String, HashMap<String, Value>> = HashMap::new();
    for (name, attribute) in &device.attributes {
        let Some((domain, name)) = name.split_once('/') else { continue };
        let value = match attribute {
            Attribute::Text(text) => Value::from(text.as_str()),
            Attribute::Number(number) => Value::Int(*number),
            Attribute::Flag(flag) => Value::Bool(*flag),
        };
        domains.entry(domain.to_owned()).or_default().insert(name.to_owned(), value);
    }
    let attributes: HashMap<String, Value> =
        domains.into_iter().map(|(domain, names)| (domain, Value::from(names))).collect();
    Value::from(HashMap::from([
        ("driver".to_owned(), Value::from(device.id.driver.as_str())),
        ("attributes".to_owned(), Value::from(attributes)),
    ]))
}

#[cfg(test)]
mod tests {
    use super::super::DeviceId;
    use super::*;
    use rstest::rstest;

    fn device() -> Device {
        let text = |text: &str| Attribute::Text(text.to_owned());
        Device {
            id: DeviceId { driver: "vf.test".to_owned(), pool: "n".to_owned(), name: "a".to_owned() },
            node: None,
            attributes: [
                ("net.test/pf".to_owned(), text("eth1")),
                ("net.test/vlan".to_owned(), Attribute::Number(5)),
                ("net.test/trusted".to_owned(), Attribute::Flag(true)),
            ]
            .into(),
            is_tainted: false,
            is_shared: false,
        }
    }

    /// `None`: it is not evaluated.
    #[rstest]
    #[case::driver(r#"device.driver == "vf.test""#, Some(true))]
    #[case::another_driver(r#"device.driver == "other.test""#, Some(false))]
    #[case::attribute(r#"device.attributes["net.test"].pf == "eth1""#, Some(true))]
    #[case::several(r#"device.driver == "vf.test" && device.attributes["net.test"].vlan > 5"#, Some(false))]
    #[case::flag(r#"device.attributes["net.test"].trusted"#, Some(true))]
    #[case::one_of(r#"device.attributes["net.test"].pf in ["eth0", "eth1"]"#, Some(true))]
    #[case::beginning(r#"device.attributes["net.test"].pf.startsWith("ens")"#, Some(false))]
    #[case::another_driver_first(r#"device.driver == "x" && device.attributes["x"].y == "z""#, Some(false))]
    #[case::absent_attribute(r#"device.attributes["net.test"].gone == "x""#, None)]
    #[case::of_kubernetes_alone(r#"device.capacity["a"].b.compareTo(quantity("1Gi")) >= 0"#, None)]
    #[case::binding(r#"cel.bind(d, device.attributes["net.test"], d.pf == "eth1")"#, None)]
    #[case::not_a_condition("1 + 1", None)]
    #[case::not_cel("device.driver ==", None)]
    fn expressions(#[case] text: &str, #[case] expected: Option<bool>) {
        let selected = compile(&[text.to_owned()]).and_then(|selectors| select(&selectors, &device()));
        assert_eq!(selected.clone().ok(), expected, "{selected:?}");
        if let Err(why) = selected {
            assert!(why.contains("which cannot be evaluated here"), "{why}");
        }
    }

    #[test]
    fn all_have_to_be_satisfied() {
        let both = |other: &str| {
            let expressions = [r#"device.driver == "vf.test""#.to_owned(), other.to_owned()];
            select(&compile(&expressions).unwrap(), &device())
        };
        assert_eq!((both("true"), both("false")), (Ok(true), Ok(false)));
        assert_eq!(select(&[], &device()), Ok(true));
    }
}
