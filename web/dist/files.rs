// Written by `cargo xtask web`: the page's files, as `grail-backend` embeds them.
&[
    ("assets/core-33Ruv_7C.wasm.gz", include_bytes!("assets/core-33Ruv_7C.wasm.gz")),
    #[cfg(feature = "development")]
    ("assets/core-development-CAGNMI2S.wasm.gz", include_bytes!("assets/core-development-CAGNMI2S.wasm.gz")),
    ("assets/core.worker-DZQ4WnvO.js.gz", include_bytes!("assets/core.worker-DZQ4WnvO.js.gz")),
    ("assets/index-9rDnIRuF.css.gz", include_bytes!("assets/index-9rDnIRuF.css.gz")),
    ("assets/index-DblpeVG_.js.gz", include_bytes!("assets/index-DblpeVG_.js.gz")),
    ("icon.svg.gz", include_bytes!("icon.svg.gz")),
    ("index.html", include_bytes!("index.html")),
    ("manifest.json", include_bytes!("manifest.json")),
]
