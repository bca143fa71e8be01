//! The token's contract as Charms runs it.

fn main() {
    grail_app::run(|shown| grail_token::judge(shown).map_err(|violation| violation.code().into()));
}
