use std::fs::create_dir_all;
use std::os::unix::fs::symlink;

use contract::PciAddress;
use rstest::rstest;

use super::*;
use crate::given_nodes::GivenNodes;
use crate::verify::{NotUsable, verify};

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The trees of a machine whose VF is in IOMMU group 16; the device nodes are another container's.
fn roots(folder: &Path) -> Roots {
    let function = folder.join("sys/bus/pci/devices/0000:65:02.1");
    create_dir_all(&function).unwrap();
    symlink("../../../../bus/pci/drivers/vfio-pci", function.join("driver")).unwrap();
    symlink("../../../../kernel/iommu_groups/16", function.join("iommu_group")).unwrap();
    Roots { sysfs: folder.join("sys"), procfs: folder.join("proc"), dev: folder.join("dev") }
}

#[test]
fn the_report_has_our_variables_and_the_nodes_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(folder.path());
    create_dir_all(roots.dev.join("vfio/devices")).unwrap();
    for node in ["vfio", "17", "16"] {
        fs::write(roots.dev.join("vfio").join(node), "").unwrap();
    }
    // Opening it fails for every user, root included.
    symlink("nowhere", roots.dev.join("vfio/18")).unwrap();
    let variables = vec![
        pair("HOME", "/"),
        pair("PCIDEVICE_A_B", "0000:65:02.1"),
        pair("PCIDEVICE_A_B_INFO", "{}"),
        pair("KUBEVIRT_RESOURCE_NAME_net", "a/b"),
        pair("SRIOV_NETWORK_RESOURCES", "{}"),
        pair("SRIOVNETWORK_PCI_ADDRESSES", "0000:65:02.1"),
    ];
    let report = look(variables.clone(), Path::new("/nowhere"), &roots);
    assert!(
        report.variables.into_iter().eq([
            &variables[3],
            &variables[1],
            &variables[2],
            &variables[5],
            &variables[4]
        ]
        .map(Clone::clone))
    );
    let nodes: Vec<_> =
        report.nodes.iter().map(|node| (node.path.rsplit('/').next().unwrap(), node.errno)).collect();
    assert_eq!(nodes, [("16", None), ("17", None), ("18", Some(2)), ("vfio", None)]);
    assert_eq!(report.problems, [""; 0]);
}

/// Only the container that holds a claim has its metadata.
#[test]
fn the_report_has_the_devices_of_claims() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = folder.path().join("resourceclaims/net/vf");
    create_dir_all(&metadata).unwrap();
    fs::write(metadata.join("sriov.example.com-metadata.json"), "broken").unwrap();
    let report = look(Vec::new(), folder.path(), &roots(folder.path()));
    assert_eq!(report.claims.len(), 1);
    assert_eq!(report.claims, DeviceReport::parse(&report.to_json()).unwrap().claims);
}

#[test]
fn a_container_without_the_nodes_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let report = look(Vec::new(), Path::new("/nowhere"), &roots(folder.path()));
    let [problem] = report.problems.as_slice() else { panic!("{report:?}") };
    assert!(
        problem.starts_with("container compute: cannot list ") && problem.contains("dev/vfio"),
        "{problem}"
    );
}

#[test]
fn what_is_written_is_read_and_the_second_writer_replaces_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("devices.json");
    for value in ["0000:65:02.1", "0000:65:02.3"] {
        let report = DeviceReport::new([pair("PCIDEVICE_A_B", value)].into(), Vec::new(), Vec::new());
        write(&file, &report).unwrap();
        assert_eq!(read(&file).unwrap(), report);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
}

#[rstest]
#[case::not_yet(|_: &Path| (), ErrorKind::NotFound, "container compute has not reported its devices yet")]
#[case::no_json(|file: &Path| fs::write(file, "{").unwrap(), ErrorKind::InvalidData, "EOF")]
#[case::folder(|file: &Path| fs::create_dir(file).unwrap(), ErrorKind::InvalidData, "it is not a file of at most")]
#[case::link(
    |file: &Path| symlink("/etc/passwd", file).unwrap(),
    ErrorKind::InvalidData,
    "it is not a file of at most"
)]
#[case::large(
    |file: &Path| File::create(file).unwrap().set_len(DeviceReport::LARGEST + 1).unwrap(),
    ErrorKind::InvalidData,
    "it is not a file of at most 1048576 bytes"
)]
#[case::not_text(|file: &Path| fs::write(file, b"\xff").unwrap(), ErrorKind::InvalidData, "stream did not")]
fn what_cannot_be_read(#[case] make: fn(&Path), #[case] kind: ErrorKind, #[case] start: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("devices.json");
    make(&file);
    let error = read(&file).unwrap_err();
    assert_eq!(error.kind(), kind);
    assert!(error.to_string().starts_with(start), "{error}");
}

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;

#[rstest]
#[case::opened(&[("vfio", None), ("16", None)], None)]
#[case::not_yet_qemus(&[("vfio", None), ("16", Some(EACCES))], None)]
#[case::still_in_use(&[("vfio", None), ("16", Some(EBUSY))], None)]
#[case::no_iommu(&[("vfio", None), ("noiommu-16", None)], None)]
#[case::not_allowed(&[("vfio", None), ("16", Some(EPERM))], Some(("16", ErrorKind::PermissionDenied)))]
#[case::not_given(&[("vfio", None), ("17", None)], Some(("16", ErrorKind::NotFound)))]
#[case::no_nodes(&[], Some(("vfio", ErrorKind::NotFound)))]
fn nodes_of_another_container(
    #[case] reported: &[(&str, Option<i32>)],
    #[case] expected: Option<(&str, ErrorKind)>,
) {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(folder.path());
    let nodes = reported
        .iter()
        .map(|(name, errno)| DeviceNode { path: format!("/dev/vfio/{name}"), errno: *errno })
        .collect();
    let report = DeviceReport::new([].into(), nodes, Vec::new());
    let address: PciAddress = "0000:65:02.1".parse().unwrap();
    let found =
        verify(&roots, &GivenNodes::default(), Some(&report), address).err().map(|error| match error {
            NotUsable::Node { node, kind, .. } => {
                (node.file_name().unwrap().to_str().unwrap().to_owned(), kind)
            }
            other => panic!("{other}"),
        });
    assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind)));
}
