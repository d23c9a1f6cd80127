//! The JSON form. Go's decoder finds keys whatever their case, takes `null` for nothing and the last of
//! two equal keys; so does this one.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{ListTooLong, ShortList, Text, json_problem};

use super::{ElementError, NetworkSelection, SelectionError, check_address, interface_name, mac, nad};

pub(super) fn parse(text: &str, default_namespace: &str) -> Result<Vec<NetworkSelection>, SelectionError> {
    // One pass where all is well. Where it is not, a second one finds the element that is to blame.
    if let Ok(elements) = serde_json::from_str::<ShortList<Element<'_>>>(text)
        && elements.check().is_ok()
        && let Ok(selections) =
            elements.into_iter().map(|element| select(element, text, default_namespace)).collect()
    {
        return Ok(selections);
    }
    let elements: ShortList<&RawValue> =
        serde_json::from_str(text).map_err(|error| SelectionError::Json { problem: json_problem(&error) })?;
    elements.check().map_err(|ListTooLong { found }| SelectionError::TooMany { found })?;
    elements
        .into_iter()
        .enumerate()
        .map(|(index, element)| {
            parse_element(element.get(), default_namespace)
                .map_err(|problem| SelectionError::Element { element: index + 1, problem })
        })
        .collect()
}

fn parse_element(text: &str, default_namespace: &str) -> Result<NetworkSelection, ElementError> {
    let element = serde_json::from_str(text)
        .map_err(|error| ElementError::Json { value: text.to_owned(), problem: json_problem(&error) })?;
    select(element, text, default_namespace)
}

fn select(
    element: Element<'_>,
    text: &str,
    default_namespace: &str,
) -> Result<NetworkSelection, ElementError> {
    if element.name.is_empty() {
        return Err(ElementError::NoName { value: text.to_owned() });
    }
    if element.name.contains('/')
        && let Ok(nad) = element.name.parse()
    {
        return Err(ElementError::NameWithNamespace { nad });
    }
    let nad = nad(&element.namespace, &element.name, default_namespace)?;
    let mac_address = mac("mac", &element.mac)?;
    mac("infiniband-guid", &element.infiniband_guid)?;
    element.ips.iter().try_for_each(|address| check_address("ips", address))?;
    element.default_route.iter().try_for_each(|address| {
        // Go's net.IP takes an address only, never a prefix.
        if address.contains('/') {
            return Err(ElementError::Address { field: "default-route", value: address.to_string() });
        }
        check_address("default-route", address)
    })?;
    let interface =
        if element.interface.is_empty() { &element.deprecated_interface } else { &element.interface };
    Ok(NetworkSelection {
        nad,
        interface: interface_name(interface)?,
        mac: mac_address,
        device_id: (!element.device_id.is_empty()).then(|| element.device_id.into_owned()),
    })
}

/// The keys that matter here. Empty is the same as absent, as it is for Go.
#[derive(Default)]
struct Element<'a> {
    name: Cow<'a, str>,
    namespace: Cow<'a, str>,
    interface: Cow<'a, str>,
    deprecated_interface: Cow<'a, str>,
    mac: Cow<'a, str>,
    infiniband_guid: Cow<'a, str>,
    device_id: Cow<'a, str>,
    ips: Vec<Cow<'a, str>>,
    default_route: Vec<Cow<'a, str>>,
}

impl<'de> Deserialize<'de> for Element<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut element = Element::default();
        while let Some(Text(key)) = map.next_key()? {
            // To Go these two are letters as well, in the one case and the other.
            let key =
                if key.is_ascii() { key } else { key.replace('ſ', "s").replace('\u{212a}', "k").into() };
            let is = |name: &str| key.eq_ignore_ascii_case(name);
            let text = if is("name") {
                &mut element.name
            } else if is("namespace") {
                &mut element.namespace
            } else if is("interface") {
                &mut element.interface
            } else if is("interfaceRequest") {
                &mut element.deprecated_interface
            } else if is("mac") {
                &mut element.mac
            } else if is("infiniband-guid") {
                &mut element.infiniband_guid
            } else if is("deviceID") {
                &mut element.device_id
            } else {
                if is("ips") {
                    set(&mut element.ips, map.next_value()?, texts);
                } else if is("default-route") {
                    set(&mut element.default_route, map.next_value()?, texts);
                } else if is("portMappings") {
                    map.next_value::<Option<Vec<Option<Object>>>>()?;
                } else if is("bandwidth") || is("cni-args") {
                    map.next_value::<Option<Object>>()?;
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
                continue;
            };
            set(text, map.next_value()?, |Text(value)| value);
        }
        Ok(element)
    }
}

fn set<V, T>(field: &mut T, value: Option<V>, read: impl FnOnce(V) -> T) {
    if let Some(value) = value {
        *field = read(value);
    }
}

fn texts(values: Vec<Option<Text<'_>>>) -> Vec<Cow<'_, str>> {
    values.into_iter().map(|value| value.map_or_else(Cow::default, |Text(text)| text)).collect()
}

/// Any object; only its kind is checked.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}
