//! No modules use each other in a circle: each can be read with only those that it uses.
//!
//! A module and those inside it count as one thing: they may use each other.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rstest::rstest;

/// The names from the crate's root to a module.
type Module = Vec<String>;

/// Each module of a crate, with its text.
type Modules = BTreeMap<Module, String>;

#[rstest]
#[case::contract("contract")]
#[case::admission("webhook/admission")]
#[case::webhook("webhook")]
#[case::apiserver("certs/apiserver")]
#[case::certs("certs")]
#[case::launcher_hook("launcher-hook")]
#[case::release("release")]
#[case::tests("tests")]
fn no_modules_use_each_other_in_a_circle(#[case] package: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src");
    let mut modules = Modules::new();
    collect(&source, &Module::new(), &mut modules);
    assert!(modules.len() > 5, "{package}: {:?}", modules.keys());
    assert_eq!(circles(&modules), Vec::<String>::new(), "{package}");
}

fn collect(folder: &Path, at: &Module, modules: &mut Modules) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let module = [at.as_slice(), std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            collect(&path, &module, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let text = fs::read_to_string(&path).unwrap();
            let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
            match name.as_str() {
                "main" => {}
                "lib" | "mod" => drop(modules.insert(at.clone(), shipped)),
                _ => drop(modules.insert(module, shipped)),
            }
        }
    }
    modules.retain(|module, _| !module.iter().any(|name| name == "tests"));
}

/// Each circle, as the modules on the way from one back to itself.
fn circles(modules: &Modules) -> Vec<String> {
    let used: BTreeMap<&Module, BTreeSet<Module>> =
        modules.iter().map(|(module, text)| (module, used_by(module, text, modules))).collect();
    let mut circles = Vec::new();
    let mut done: BTreeSet<&Module> = BTreeSet::new();
    for &module in used.keys() {
        follow(module, &used, &mut Vec::new(), &mut done, &mut circles);
    }
    circles
}

fn follow<'m>(
    module: &'m Module,
    used: &BTreeMap<&'m Module, BTreeSet<Module>>,
    way: &mut Vec<&'m Module>,
    done: &mut BTreeSet<&'m Module>,
    circles: &mut Vec<String>,
) {
    if let Some(start) = way.iter().position(|&before| before == module) {
        let names = way[start..].iter().chain([&module]).map(|module| module.join("::"));
        circles.push(names.collect::<Vec<_>>().join(" -> "));
        return;
    }
    if done.contains(module) {
        return;
    }
    way.push(module);
    for next in &used[module] {
        let (&next, _) = used.get_key_value(next).unwrap();
        follow(next, used, way, done, circles);
    }
    way.pop();
    done.insert(module);
}

/// The modules that `module` uses, but for those around it and inside it.
fn used_by(module: &Module, text: &str, modules: &Modules) -> BTreeSet<Module> {
    let paths = uses(text).into_iter().map(|(_, path)| path);
    paths
        .filter_map(|path| resolve(module, &path, modules))
        .filter(|other| !other.starts_with(module) && !module.starts_with(other))
        .collect()
}

/// The module in which a path's item is declared, if it is of this crate.
fn resolve(from: &Module, path: &[String], modules: &Modules) -> Option<Module> {
    let mut at = from.clone();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => at.clear(),
        "super" => drop(at.pop()),
        "self" => {}
        name if modules.contains_key(&[from.as_slice(), &[name.to_owned()]].concat()) => rest = path,
        _ => return None,
    }
    if matches!(rest[0].as_str(), "crate" | "super" | "self") {
        rest = &rest[1..];
    }
    while let Some(name) = rest.first() {
        let inner = [at.as_slice(), std::slice::from_ref(name)].concat();
        match name.as_str() {
            "super" => drop(at.pop()),
            _ if modules.contains_key(&inner) => at = inner,
            _ => break,
        }
        rest = &rest[1..];
    }
    // What a module passes on is another's.
    let passed_on = uses(modules.get(&at)?).into_iter().find(|(is_public, passed_on)| {
        *is_public && rest.first().is_some_and(|name| passed_on.last() == Some(name)) && passed_on != path
    });
    match passed_on {
        Some((_, path)) => resolve(&at, &path, modules).or(Some(at)),
        None => Some(at),
    }
}

/// The paths of all `use`s, and whether they are public.
fn uses(text: &str) -> Vec<(bool, Vec<String>)> {
    let mut uses = Vec::new();
    for statement in text.split(';') {
        let Some(line) = statement.lines().position(|line| declaration(line).is_some()) else { continue };
        let lines: Vec<&str> = statement.lines().skip(line).collect();
        let (is_public, first) = declaration(lines[0]).unwrap();
        let tree = [&[first], &lines[1..]].concat().join(" ");
        let mut paths = Vec::new();
        expand(&Vec::new(), &tree, &mut paths);
        uses.extend(paths.into_iter().map(|path| (is_public, path)));
    }
    uses
}

/// Whether a line begins a `use`, whether that is public, and what it uses.
fn declaration(line: &str) -> Option<(bool, &str)> {
    let line = line.trim_start();
    let after = match line.strip_prefix("pub") {
        Some(rest) => rest.trim_start_matches(|letter| letter != ' ').trim_start(),
        None => line,
    };
    let tree = after.strip_prefix("use ")?;
    // A line of a message may begin with the word as well.
    let path = tree.split([' ', '{', ';']).next().unwrap();
    let is_name = path == tree && path.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    (path.contains("::") || is_name).then_some((line.starts_with("pub"), tree))
}

/// The paths in a tree such as `a::{b, c::{d, e as f}}`.
fn expand(before: &[String], tree: &str, paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let Some((start, list)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().split("::").map(|name| name.trim().to_owned());
        paths.push(before.iter().cloned().chain(path).collect());
        return;
    };
    let names = start.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let before: Vec<String> = before.iter().cloned().chain(names).collect();
    let list = list.rsplit_once('}').unwrap().0;
    let (mut depth, mut from) = (0, 0);
    for (place, letter) in list.char_indices().chain([(list.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = &list[from..place];
                if !part.trim().is_empty() {
                    expand(&before, part, paths);
                }
                from = place + 1;
            }
            _ => {}
        }
    }
}

#[rstest]
#[case::none("use super::b::B;", "", "", &[])]
#[case::two("use super::b::B;", "use super::a::A;", "", &["a -> b -> a"])]
#[case::three("use super::b::B;", "use crate::{c::C, d};", "use super::a;", &["a -> b -> c -> a"])]
#[case::passed_on("use super::B;", "use super::A;", "", &["a -> b -> a"])]
#[case::of_another_crate("use b::B;", "use a::A;", "", &[])]
#[case::in_a_message("use super::b::B;", "const REMEDY: &str = \"bind it to\nuse super or {A}; use network-info\";", "", &[])]
fn circles_that_there_are(#[case] a: &str, #[case] b: &str, #[case] c: &str, #[case] expected: &[&str]) {
    let modules = [("", "pub use a::A;\npub use b::{B, Other};"), ("a", a), ("b", b), ("c", c)];
    let modules: Modules = modules
        .into_iter()
        .map(|(name, text)| {
            (Some(name.to_owned()).filter(|name| !name.is_empty()).into_iter().collect(), text.into())
        })
        .collect();
    assert_eq!(circles(&modules), expected);
}
