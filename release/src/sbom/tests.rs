use std::collections::BTreeMap;

use super::*;

const LOCK: &str = r#"
[[package]]
name = "program"
version = "0.1.0"
dependencies = [
 "serde",
]

[[package]]
name = "serde"
version = "1.0.229"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "1111111111111111111111111111111111111111111111111111111111111111"

[[package]]
name = "cc"
version = "1.2.3"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "2222222222222222222222222222222222222222222222222222222222222222"
"#;

fn arguments() -> Arguments {
    Arguments {
        built: Built {
            package: "program".to_owned(),
            target: "x86_64-unknown-linux-gnu".to_owned(),
            features: None,
        },
        program: PathBuf::new(),
        revision: "2f0d5c2e".to_owned(),
        epoch: 1_700_000_000,
        linked: vec!["pkg:deb/debian/libc6-dev@2.36-9?arch=amd64".parse().unwrap()],
    }
}

fn bill(arguments: &Arguments) -> Bill<'_> {
    let linked = "0program v0.1.0 (/sources/program)|Apache-2.0|\n1serde v1.0.229|MIT/Apache-2.0|\n";
    let all = format!("{linked}1cc v1.2.3|MIT|\n");
    Bill {
        arguments,
        sha256: digest::of(b"program"),
        linked: Tree::read(linked).unwrap(),
        all: Tree::read(&all).unwrap(),
        checksums: lock::checksums(LOCK),
        created: "2023-11-14T22:13:20Z".to_owned(),
    }
}

#[test]
fn a_bill_tells_what_is_linked_from_what_only_built_it() {
    let arguments = arguments();
    let document = bill(&arguments).document().unwrap();
    insta::assert_snapshot!(format!("{:#}", document), @r#"
    {
      "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
      "bomFormat": "CycloneDX",
      "components": [
        {
          "bom-ref": "pkg:cargo/cc@1.2.3",
          "hashes": [
            {
              "alg": "SHA-256",
              "content": "2222222222222222222222222222222222222222222222222222222222222222"
            }
          ],
          "licenses": [
            {
              "expression": "MIT"
            }
          ],
          "name": "cc",
          "purl": "pkg:cargo/cc@1.2.3",
          "scope": "excluded",
          "type": "library",
          "version": "1.2.3"
        },
        {
          "bom-ref": "pkg:cargo/serde@1.0.229",
          "hashes": [
            {
              "alg": "SHA-256",
              "content": "1111111111111111111111111111111111111111111111111111111111111111"
            }
          ],
          "licenses": [
            {
              "expression": "MIT OR Apache-2.0"
            }
          ],
          "name": "serde",
          "purl": "pkg:cargo/serde@1.0.229",
          "scope": "required",
          "type": "library",
          "version": "1.0.229"
        },
        {
          "bom-ref": "pkg:deb/debian/libc6-dev@2.36-9?arch=amd64",
          "name": "libc6-dev",
          "purl": "pkg:deb/debian/libc6-dev@2.36-9?arch=amd64",
          "scope": "required",
          "type": "library",
          "version": "2.36-9"
        }
      ],
      "dependencies": [
        {
          "dependsOn": [],
          "ref": "pkg:cargo/cc@1.2.3"
        },
        {
          "dependsOn": [
            "pkg:cargo/cc@1.2.3",
            "pkg:cargo/serde@1.0.229",
            "pkg:deb/debian/libc6-dev@2.36-9?arch=amd64"
          ],
          "ref": "pkg:cargo/program@0.1.0?vcs_url=git%2Bhttps%3A%2F%2Fgithub.com%2Fkubevirt-sriov%2Fkubevirt-sriov%402f0d5c2e"
        },
        {
          "dependsOn": [],
          "ref": "pkg:cargo/serde@1.0.229"
        },
        {
          "dependsOn": [],
          "ref": "pkg:deb/debian/libc6-dev@2.36-9?arch=amd64"
        }
      ],
      "metadata": {
        "component": {
          "bom-ref": "pkg:cargo/program@0.1.0?vcs_url=git%2Bhttps%3A%2F%2Fgithub.com%2Fkubevirt-sriov%2Fkubevirt-sriov%402f0d5c2e",
          "externalReferences": [
            {
              "comment": "2f0d5c2e",
              "type": "vcs",
              "url": "https://github.com/kubevirt-sriov/kubevirt-sriov"
            }
          ],
          "hashes": [
            {
              "alg": "SHA-256",
              "content": "1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8"
            }
          ],
          "licenses": [
            {
              "expression": "Apache-2.0"
            }
          ],
          "name": "program",
          "purl": "pkg:cargo/program@0.1.0?vcs_url=git%2Bhttps%3A%2F%2Fgithub.com%2Fkubevirt-sriov%2Fkubevirt-sriov%402f0d5c2e",
          "type": "application",
          "version": "0.1.0"
        },
        "lifecycles": [
          {
            "phase": "build"
          }
        ],
        "properties": [
          {
            "name": "kubevirt-sriov:target",
            "value": "x86_64-unknown-linux-gnu"
          }
        ],
        "timestamp": "2023-11-14T22:13:20Z",
        "tools": {
          "components": [
            {
              "name": "kubevirt-sriov-release",
              "type": "application",
              "version": "0.1.0"
            }
          ]
        }
      },
      "serialNumber": "urn:uuid:1310ca2c-8932-8bd1-8866-8bd97442558a",
      "specVersion": "1.6",
      "version": 1
    }
    "#);
}

#[test]
fn a_crate_without_a_checksum_is_an_error() {
    let arguments = arguments();
    let mut bill = bill(&arguments);
    bill.checksums = BTreeMap::new();
    assert_eq!(bill.document().unwrap_err().to_string(), "cc 1.2.3 is not in Cargo.lock");
}

#[test]
fn a_serial_number_is_a_uuid_of_version_8() {
    assert_eq!(
        serial_number("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef").unwrap(),
        "urn:uuid:01234567-89ab-8def-8123-456789abcdef"
    );
}
