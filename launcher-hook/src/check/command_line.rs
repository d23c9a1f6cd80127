//! The kernel command line, read as the kernel reads it.

/// One parameter, `name` or `name=value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameter<'a> {
    name: &'a str,
    value: &'a str,
    /// As it stands on the command line, without quotes.
    word: &'a str,
}

impl Parameter<'_> {
    /// The kernel takes `-` for `_` in names.
    fn is(&self, name: &str) -> bool {
        self.name.len() == name.len()
            && self
                .name
                .bytes()
                .zip(name.bytes())
                .all(|(one, other)| one == other || one == b'-' && other == b'_')
    }

    /// The parts of a list such as `on,sm_on`.
    fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.value.split(',')
    }
}

/// The kernel's parameters, up to `--`, behind which those of process 1 begin. Quotes keep blanks together.
fn parameters(line: &str) -> Vec<Parameter<'_>> {
    let mut quoted = false;
    let words = line.split(move |character: char| {
        quoted ^= character == '"';
        !quoted && character.is_ascii_whitespace()
    });
    let words = words.filter(|word| !word.is_empty()).take_while(|word| *word != "--");
    words
        .map(|word| {
            let inside = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
            let word = inside.unwrap_or(word);
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            Parameter { name, value: value.trim_matches('"'), word }
        })
        .collect()
}

/// Whose rules for switching the IOMMU on and off are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// VT-d: off by default with many kernels.
    Intel,
    /// AMD-Vi: on by default.
    Amd,
    /// SMMU and others: on by default.
    Other,
}

impl Vendor {
    /// From `vendor_id` in `/proc/cpuinfo`. Hygon's processors have AMD's IOMMU, those of Centaur and Zhaoxin Intel's.
    #[must_use]
    pub fn of(processor: Option<&str>) -> Self {
        match processor {
            Some("GenuineIntel" | "CentaurHauls" | "Shanghai") => Self::Intel,
            Some("AuthenticAMD" | "HygonGenuine") => Self::Amd,
            _ => Self::Other,
        }
    }
}

/// What the command line says about the IOMMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch<'a> {
    /// Nothing that counts.
    Absent,
    /// This parameter switches it on.
    On(&'a str),
    /// This parameter switches it off.
    Off(&'a str),
}

/// What the command line says about the IOMMU. For `intel_iommu` the last word counts; no later one takes back an
/// `off` of the others.
#[must_use]
pub fn iommu(line: &str, vendor: Vendor) -> Switch<'_> {
    let parameters = parameters(line);
    let off = |name: &str| {
        parameters
            .iter()
            .find(|one| one.is(name) && one.parts().any(|part| part == "off"))
            .map(|one| one.word)
    };
    let off = match vendor {
        Vendor::Intel => off("iommu").or_else(|| off("acpi")),
        Vendor::Amd => off("amd_iommu").or_else(|| off("iommu")).or_else(|| off("acpi")),
        Vendor::Other => parameters
            .iter()
            .find(|one| {
                (one.is("initcall_blacklist") || one.is("module_blacklist")) && one.value.contains("smmu")
            })
            .map(|one| one.word),
    };
    if let Some(word) = off {
        return Switch::Off(word);
    }
    if vendor != Vendor::Intel {
        return Switch::Absent;
    }
    let words = parameters.iter().filter(|one| one.is("intel_iommu")).rev();
    let last = words.flat_map(|one| one.parts().rev().map(|part| (part, one.word)));
    last.filter_map(|(part, word)| match part {
        "on" => Some(Switch::On(word)),
        "off" => Some(Switch::Off(word)),
        _ => None,
    })
    .next()
    .unwrap_or(Switch::Absent)
}

/// The parameter that switches interrupt remapping off, if any.
#[must_use]
pub fn no_interrupt_remapping(line: &str) -> Option<&str> {
    let parameters = parameters(line);
    let last = parameters.iter().rev().find_map(|one| {
        if one.is("nointremap") {
            return Some((one.word, true));
        }
        let parts = one.is("intremap").then(|| one.parts().rev().find(|part| matches!(*part, "on" | "off")));
        parts.flatten().map(|part| (one.word, part == "off"))
    });
    last.and_then(|(word, off)| off.then_some(word))
}

/// The parameter that keeps a module from being loaded, if any. Module names have `_` where drivers may have `-`.
#[must_use]
pub fn blacklists<'a>(line: &'a str, module: &str) -> Option<&'a str> {
    const LISTS: [&str; 3] = ["module_blacklist", "modprobe.blacklist", "rd.driver.blacklist"];
    let names_it = |one: &Parameter<'_>| one.parts().any(|part| part.replace('-', "_") == module);
    let mut lists = parameters(line).into_iter().filter(|one| LISTS.iter().any(|list| one.is(list)));
    lists.find(names_it).map(|one| one.word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing("ro quiet", Vendor::Intel, Switch::Absent)]
    #[case::on("ro intel_iommu=on quiet", Vendor::Intel, Switch::On("intel_iommu=on"))]
    #[case::in_a_list("intel_iommu=on,sm_on", Vendor::Intel, Switch::On("intel_iommu=on,sm_on"))]
    #[case::later_in_a_list("intel_iommu=sm_on,on", Vendor::Intel, Switch::On("intel_iommu=sm_on,on"))]
    #[case::with_a_dash("intel-iommu=on", Vendor::Intel, Switch::On("intel-iommu=on"))]
    #[case::quoted("\"intel_iommu=on\" ro", Vendor::Intel, Switch::On("intel_iommu=on"))]
    #[case::quoted_value("intel_iommu=\"on\"", Vendor::Intel, Switch::On("intel_iommu=\"on\""))]
    #[case::part_of_another_value("x=\"a intel_iommu=on b\"", Vendor::Intel, Switch::Absent)]
    #[case::other_options_alone("intel_iommu=sm_on", Vendor::Intel, Switch::Absent)]
    #[case::for_process_1("ro -- intel_iommu=on", Vendor::Intel, Switch::Absent)]
    #[case::misspelt("intel_iommu_=on intel_iommus=on", Vendor::Intel, Switch::Absent)]
    #[case::without_a_value("intel_iommu", Vendor::Intel, Switch::Absent)]
    #[case::passthrough_is_not_on("iommu=pt", Vendor::Intel, Switch::Absent)]
    #[case::intel_off("intel_iommu=off", Vendor::Intel, Switch::Off("intel_iommu=off"))]
    #[case::last_counts("intel_iommu=off intel_iommu=on", Vendor::Intel, Switch::On("intel_iommu=on"))]
    #[case::last_off_counts("intel_iommu=on intel_iommu=off", Vendor::Intel, Switch::Off("intel_iommu=off"))]
    #[case::all_off("intel_iommu=on iommu=off", Vendor::Intel, Switch::Off("iommu=off"))]
    #[case::off_in_a_list("iommu=pt,off", Vendor::Intel, Switch::Off("iommu=pt,off"))]
    #[case::without_acpi("acpi=off intel_iommu=on", Vendor::Intel, Switch::Off("acpi=off"))]
    #[case::of_the_other_vendor("amd_iommu=off", Vendor::Intel, Switch::Absent)]
    #[case::amd_off("ro amd_iommu=off", Vendor::Amd, Switch::Off("amd_iommu=off"))]
    #[case::amd_list("amd_iommu=fullflush,off", Vendor::Amd, Switch::Off("amd_iommu=fullflush,off"))]
    #[case::amd_and_all("iommu=off", Vendor::Amd, Switch::Off("iommu=off"))]
    #[case::amd_on_means_nothing("amd_iommu=on", Vendor::Amd, Switch::Absent)]
    #[case::amd_ignores_intel("intel_iommu=off", Vendor::Amd, Switch::Absent)]
    #[case::arm("iommu=off amd_iommu=off", Vendor::Other, Switch::Absent)]
    #[case::arm_module(
        "module_blacklist=arm_smmu_v3",
        Vendor::Other,
        Switch::Off("module_blacklist=arm_smmu_v3")
    )]
    #[case::arm_built_in(
        "initcall_blacklist=arm_smmu_driver_init",
        Vendor::Other,
        Switch::Off("initcall_blacklist=arm_smmu_driver_init")
    )]
    fn switches(#[case] line: &str, #[case] vendor: Vendor, #[case] expected: Switch<'_>) {
        assert_eq!(iommu(line, vendor), expected);
    }

    #[rstest]
    #[case::intel(Some("GenuineIntel"), Vendor::Intel)]
    #[case::zhaoxin(Some("Shanghai"), Vendor::Intel)]
    #[case::amd(Some("AuthenticAMD"), Vendor::Amd)]
    #[case::hygon(Some("HygonGenuine"), Vendor::Amd)]
    #[case::arm(None, Vendor::Other)]
    fn vendors(#[case] processor: Option<&str>, #[case] expected: Vendor) {
        assert_eq!(Vendor::of(processor), expected);
    }

    #[rstest]
    #[case::absent("ro", None)]
    #[case::off("intremap=off", Some("intremap=off"))]
    #[case::in_a_list("intremap=nosid,off", Some("intremap=nosid,off"))]
    #[case::on_again("intremap=off intremap=on", None)]
    #[case::other_option_later("intremap=off intremap=nosid", Some("intremap=off"))]
    #[case::old_spelling("nointremap", Some("nointremap"))]
    fn interrupt_remapping(#[case] line: &str, #[case] expected: Option<&str>) {
        assert_eq!(no_interrupt_remapping(line), expected);
    }

    #[rstest]
    #[case::absent("ro", None)]
    #[case::kernel("module_blacklist=nouveau,vfio_pci", Some("module_blacklist=nouveau,vfio_pci"))]
    #[case::modprobe("modprobe.blacklist=vfio-pci", Some("modprobe.blacklist=vfio-pci"))]
    #[case::initrd("rd.driver.blacklist=vfio_pci", Some("rd.driver.blacklist=vfio_pci"))]
    #[case::longer_name("module_blacklist=vfio_pci_core", None)]
    fn blacklisted(#[case] line: &str, #[case] expected: Option<&str>) {
        assert_eq!(blacklists(line, "vfio_pci"), expected);
    }
}
