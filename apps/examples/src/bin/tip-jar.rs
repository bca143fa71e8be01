//! The tip jar as Charms runs it.

grail_app::program!(grail_app_examples::tip_jar::TipJar);
