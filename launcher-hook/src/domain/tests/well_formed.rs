use super::*;
use rstest::rstest;

#[rstest]
#[case::smallest("<domain/>")]
#[case::declaration("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<domain></domain>\n")]
#[case::declaration_in_single_quotes("<?xml version='1.0' encoding='utf-8' standalone='no' ?><domain/>")]
#[case::byte_order_mark("\u{feff}<domain/>")]
#[case::byte_order_mark_and_declaration("\u{feff}<?xml version='1.0'?><domain><devices/></domain>")]
#[case::comments_around("<!-- a --><domain/><!-- b -->\n")]
#[case::instruction("<?virsh edit?><domain/>")]
#[case::entities("<domain><name a=\"&quot;\">&lt;&#65;&amp;</name></domain>")]
#[case::cdata("<domain><name><![CDATA[<x>&y;]]></name></domain>")]
#[case::foreign_namespace("<domain xmlns:q='u'><q:commandline><q:arg value='-S'/></q:commandline></domain>")]
#[case::prefix_declared_beside("<domain><q:a q:b='c' xml:lang='en' xmlns:q='u'/></domain>")]
#[case::space_in_end_tag("<domain></domain >")]
#[case::not_ascii("<domain><title>ü🦀\u{fffd}</title></domain>")]
#[case::carriage_returns("<domain>\r\n</domain>\r\n")]
fn reads(#[case] text: &str) {
    assert_eq!(converge(text, &[]).as_deref(), Ok(text));
}

#[rstest]
#[case::empty("", "the domain is empty")]
#[case::white_space(" \n", "the domain is empty")]
#[case::only_comment("<!-- a -->", "the domain is empty")]
#[case::text("hello", "line 1: text outside of the root element")]
#[case::text_before("x<domain/>", "line 1: text outside of the root element")]
#[case::text_behind("<domain/>\n\nx", "line 1: text outside of the root element")]
#[case::cdata_behind("<domain/><![CDATA[ ]]>", "line 1: text outside of the root element")]
#[case::reference_behind("<domain/>&amp;", "line 1: text outside of the root element")]
#[case::byte_order_mark_behind("<domain/>\u{feff}", "line 1: text outside of the root element")]
#[case::two_roots("<domain/>\n<domain/>", "line 2: a second root element \"domain\" follows the domain")]
#[case::other_root("<domainsnapshot/>", "the root element is \"domainsnapshot\", not \"domain\"")]
#[case::foreign_root("<domain xmlns='u'/>", "the root element is \"domain\", not \"domain\"")]
#[case::doctype("<!DOCTYPE domain><domain/>", "line 1: a DOCTYPE is not allowed in a domain")]
#[case::doctype_with_entities(
    "<!DOCTYPE d [<!ENTITY a \"b\">]><domain>&a;</domain>",
    "line 1: a DOCTYPE is not allowed in a domain"
)]
#[case::cut_between_elements(
    "<domain><devices>",
    "the domain ends inside of element \"devices\": it was cut off"
)]
#[case::cut_in_a_tag("<domain><dev", "the domain ends inside of element \"domain\": it was cut off")]
#[case::cut_in_an_end_tag("<domain></dom", "the domain ends inside of element \"domain\": it was cut off")]
#[case::cut_in_a_value(
    "<domain><a b=\"c></a></domain>",
    "the domain ends inside of element \"domain\": it was cut off"
)]
#[case::cut_in_a_comment("<domain><!-- ", "the domain ends inside of element \"domain\": it was cut off")]
#[case::twice("<domain>\n<a b='1' c='2' b='3'/></domain>", "line 2: element \"a\" has attribute \"b\" twice")]
#[case::undeclared_prefix(
    "<domain>\n<q:a/></domain>",
    "line 2: element \"q:a\" uses the prefix \"q\", which no xmlns:… around it declares"
)]
#[case::undeclared_prefix_of_an_attribute(
    "<domain><a q:b='c'/></domain>",
    "line 1: element \"a\" uses the prefix \"q\", which no xmlns:… around it declares"
)]
#[case::prefix_declared_elsewhere(
    "<domain><a xmlns:q='u'/><q:a/></domain>",
    "line 1: element \"q:a\" uses the prefix \"q\", which no xmlns:… around it declares"
)]
fn refuses(#[case] text: &str, #[case] message: &str) {
    assert_eq!(converge(text, &[]).unwrap_err().to_string(), message);
}

#[rstest]
#[case::wrong_nesting("<domain><a><b></a></b></domain>")]
#[case::end_without_start("<domain></a></domain>")]
#[case::end_after_root("<domain/></domain>")]
#[case::nul("<domain>\0</domain>")]
#[case::control_character("<domain a='\u{1}'/>")]
#[case::no_character("<domain>\u{ffff}</domain>")]
#[case::nul_reference("<domain>&#0;</domain>")]
#[case::undefined_entity("<domain>&nbsp;</domain>")]
#[case::bare_ampersand("<domain>a & b</domain>")]
#[case::less_in_value("<domain a='<'/>")]
#[case::cdata_end("<domain>]]></domain>")]
#[case::dashes_in_comment("<domain><!-- a -- b --></domain>")]
#[case::late_declaration("<domain/><?xml version='1.0'?>")]
#[case::declaration_behind_space(" <?xml version='1.0'?><domain/>")]
#[case::declared_twice("<?xml version='1.0'?><?xml version='1.0'?><domain/>")]
#[case::capital_declaration("<domain><?XML a?></domain>")]
#[case::instruction_without_a_name("<domain><?<>d\n?></domain>")]
#[case::other_encoding("<?xml version='1.0' encoding='UTF-16'?><domain/>")]
#[case::empty_name("<domain>< /></domain>")]
#[case::stray_less("<domain><</domain>")]
fn refuses_as_syntax(#[case] text: &str) {
    let error = converge(text, &[]).unwrap_err();
    assert!(matches!(error, DomainError::Syntax { .. }), "{error:?}");
}

#[test]
fn every_cut_of_a_domain_is_refused() {
    let whole = include_str!("../../../tests/fixtures/domain.xml").trim_end();
    for end in 0..whole.len() {
        assert!(Document::parse(&whole[..end]).is_err(), "cut at {end}");
    }
    assert!(Document::parse(whole).is_ok());
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| format!("<domain>{}{}</domain>", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(Document::parse(&nested(255)).is_ok());
    assert_eq!(Document::parse(&nested(256)).unwrap_err(), DomainError::TooDeep { line: 1, limit: 256 });
}

#[test]
fn size_has_a_limit() {
    let text = format!("<domain>{}</domain>", " ".repeat(16 << 20));
    assert!(matches!(Document::parse(&text), Err(DomainError::TooLarge { .. })));
}

#[test]
fn what_is_said_of_a_page_is_a_line() {
    let error = Document::parse(&format!("<domain></domain\n{}>", "x".repeat(5000))).unwrap_err().to_string();
    assert!(error.len() < 300 && !error.contains('\n'), "{error}");
}
