//! What the fuzz targets have met, once more.

use std::fs;
use std::path::Path;

/// Every file of a target's corpus.
pub(crate) fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        println!("{}", file.display());
        run(&fs::read(&file).unwrap());
        count += 1;
    }
    assert!(count > 0);
}
