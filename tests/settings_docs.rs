//! `docs/settings.md` says what the code does: its table is made from the one that the code goes by.
#![allow(clippy::unwrap_used, clippy::expect_used)]

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
const BEGIN: &str =
    "<!-- the table: written by `BUS_TEST_BLESS=1 cargo test --features settings --test settings_docs` -->\n";
const END: &str = "<!-- the end of the table -->\n";

#[test]
fn the_table_is_that_of_the_code() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark before the table");
    let (table, after) = rest.split_once(END).expect("the mark behind the table");
    let made = bus::settings::table_of_settings();
    if std::env::var_os("BUS_TEST_BLESS").is_some() {
        std::fs::write(FILE, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    for (line, made) in table.lines().zip(made.lines()) {
        assert_eq!(line, made);
    }
    assert_eq!(table.len(), made.len());
}

#[test]
fn every_setting_has_its_reason() {
    let made = bus::settings::table_of_settings();
    let mut lines = made.lines().skip(2);
    assert!(lines.clone().count() > 30);
    let whole = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        cells.len() == 7
            && !cells[0].is_empty()
            && !cells[3].is_empty()
            && !cells[5].is_empty()
            && !cells[6].is_empty()
    };
    assert!(lines.all(whole));
}
