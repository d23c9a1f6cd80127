use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use contract::PciAddress;

/// Where the hostdevs of a generated domain come from: few, so that they meet those that are wanted.
fn address() -> impl Strategy<Value = PciAddress> {
    (0..2u32, 0..2u8, 0..4u8, 0..8u8).prop_map(|(domain, bus, device, function)| {
        PciAddress::new(domain * 0x10000, bus, device, function).unwrap()
    })
}

fn alias() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        2 => Just(None),
        3 => "[a-d]".prop_map(|network| Some(format!("ua-sriov-{network}"))),
        1 => "[a-d]".prop_map(|name| Some(format!("ua-gpu-{name}"))),
        1 => "[0-9]".prop_map(|number| Some(format!("hostdev{number}"))),
    ]
}

/// A piece of text that is not ours.
fn foreign() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("\n".to_owned()),
        Just("\r\n\t".to_owned()),
        Just("\n    ".to_owned()),
        "<!-- [a-z<>&' ]{0,8} -->",
        "<q:x y='[a-z&&[^&]]{0,3}' z=\"'\" ><hostdev/></q:x >",
        "<disk a = '&lt;&#65;'>[a-zü]{0,4}&amp;<!\\[CDATA\\[<&\\]\\]></disk>",
        "<\\?[a-w]{1,5} [a-z<]{0,5}\\?>",
    ]
}

fn hostdev() -> impl Strategy<Value = String> {
    let quote = prop_oneof![Just('"'), Just('\'')];
    (address(), alias(), quote, foreign(), foreign(), any::<(bool, bool, bool)>()).prop_map(
        |(address, alias, quote, before, between, (decimal, boot, guest))| {
            let number = |value: u32| {
                if decimal { value.to_string() } else { format!("{value:#x}") }
            };
            let mut text = format!("{before}<hostdev type={quote}pci{quote}>{between}<source><address");
            for (name, value) in [
                ("function", u32::from(address.function())),
                ("slot", u32::from(address.device())),
                ("bus", u32::from(address.bus())),
                ("domain", address.domain()),
            ] {
                if value > 0 || !decimal {
                    let _ = write!(text, " {name}={quote}{}{quote}", number(value));
                }
            }
            text.push_str("></address></source>");
            if boot {
                text.push_str("<boot order='9'/>");
            }
            if let Some(alias) = alias {
                let _ = write!(text, "<alias name={quote}{alias}{quote}/>");
            }
            text.push_str(&between);
            if guest {
                text.push_str("<address type='pci' bus='1' multifunction='on'/>");
            }
            text.push_str("</hostdev>");
            text
        },
    )
}

fn domains() -> impl Strategy<Value = String> {
    let devices = prop_oneof![
        1 => Just("<devices/>".to_owned()),
        8 => (prop::collection::vec(hostdev(), 0..4), foreign())
            .prop_map(|(hostdevs, last)| format!("<devices>{}{last}</devices>", hostdevs.concat())),
    ];
    (foreign(), devices, foreign())
        .prop_map(|(before, devices, after)| format!("<domain xmlns:q='u'>{before}{devices}{after}</domain>"))
}

fn wanted_hostdevs() -> impl Strategy<Value = Vec<WantedHostdev>> {
    let details = (address(), prop::option::of(1..4u32), prop::option::of(address()));
    prop::collection::btree_map("[a-d]", details, 0..4).prop_map(|wanted| {
        let wanted = wanted.into_iter();
        wanted
            .map(|(network, (address, boot_order, guest_address))| WantedHostdev {
                network,
                address,
                boot_order,
                guest_address,
            })
            .collect()
    })
}

/// Whether all of `part` is in `whole`, in its order.
fn is_subsequence(part: &str, whole: &str) -> bool {
    let mut rest = whole.bytes();
    part.bytes().all(|byte| rest.any(|other| other == byte))
}

/// The text without what an edit may replace: the values of attributes.
fn without_values(text: &str) -> String {
    let mut quote = None;
    let mut tag = false;
    let keep = text.chars().filter(|&character| match quote {
        Some(open) => {
            if character == open {
                quote = None;
            }
            false
        }
        None => {
            match character {
                '<' => tag = true,
                '>' => tag = false,
                '"' | '\'' if tag => quote = Some(character),
                _ => {}
            }
            true
        }
    });
    keep.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_edited_domain(text in domains(), wanted in wanted_hostdevs()) {
        let Ok(edited) = converge(&text, &wanted) else {
            return Ok(());
        };
        // Another reader reads it.
        let tree = roxmltree::Document::parse(&edited).unwrap();
        let views = hostdevs(&edited).unwrap();
        prop_assert_eq!(
            tree.descendants().filter(|node| node.has_tag_name("hostdev") && node.attribute("type") == Some("pci")).count(),
            views.len()
        );

        // Everything that is wanted is there, once.
        for hostdev in &wanted {
            let found: Vec<_> = views.iter().filter(|view| view.network.as_ref() == Some(&hostdev.network)).collect();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].source, hostdev.address);
            if hostdev.guest_address.is_some() {
                prop_assert_eq!(found[0].guest, hostdev.guest_address);
            }
        }
        let sources: BTreeSet<_> = views.iter().map(|view| view.source).collect();
        prop_assert_eq!(sources.len(), views.len());
        let aliases: Vec<_> = views.iter().filter_map(|view| view.alias.as_ref()).collect();
        prop_assert_eq!(aliases.iter().collect::<BTreeSet<_>>().len(), aliases.len());

        // Once more changes nothing.
        prop_assert_eq!(&converge(&edited, &wanted).unwrap(), &edited);
    }

    #[test]
    fn untouched_bytes_stay(text in domains(), wanted in wanted_hostdevs()) {
        if let Ok(edited) = converge(&text, &wanted) {
            // Only `<devices/>` loses a byte, its slash.
            let before = without_comments(&text).replace("<devices/>", "<devices>");
            prop_assert!(is_subsequence(&without_values(&before), &without_values(&without_comments(&edited))));
            prop_assert_eq!(comments(&text), comments(&edited));
        }
    }

    #[test]
    fn a_domain_with_nothing_to_do_is_the_same(text in domains()) {
        if let Ok(edited) = converge(&text, &[]) {
            prop_assert_eq!(edited, text);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(<|>|/|&|;|#|x|'|\"|=| |a|domain|devices|hostdev|<!--|-->|<\\?|\\?>|\\]\\]>|<!\\[CDATA\\[|é){0,40}") {
        let _ = converge(&text, &[wanted("a", "0000:65:02.1")]);
    }

    /// What we take, another reader takes; it resolves namespaces as well.
    #[test]
    fn what_is_read_is_xml(text in "<domain( a='(&lt;|&|<|x){0,2}'){0,2}>(<a>|</a>|<a/>|&amp;|&b;|x|\\]\\]>|<!--|-->|<\\?p|\\?>|<!\\[CDATA\\[){0,8}</domain>") {
        if Document::parse(&text).is_ok() {
            prop_assert!(roxmltree::Document::parse(&text).is_ok());
        }
    }
}

fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        kept.push_str(before);
        rest = after.split_once("-->").unwrap().1;
    }
    kept + rest
}

fn comments(text: &str) -> Vec<&str> {
    let parts = text.split("<!--").skip(1);
    parts.map(|part| part.split_once("-->").unwrap().0).collect()
}
