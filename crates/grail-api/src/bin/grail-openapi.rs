//! Prints the `OpenAPI` document, as it is committed in `docs/api/openapi.json`.

fn main() -> Result<(), serde_json::Error> {
    println!("{}", grail_api::openapi().to_pretty_json()?);
    Ok(())
}
