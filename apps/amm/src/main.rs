//! The swap app's contract as Charms runs it.

grail_app::program!(grail_amm::Amm);
