//! The escrow as Charms runs it.

grail_app::program!(grail_app_examples::escrow::Escrow);
