// Written by `cargo xtask web`: the page's files, as `grail-backend` embeds them.
&[
    ("assets/core--oQ9_gI1.wasm.gz", include_bytes!("assets/core--oQ9_gI1.wasm.gz")),
    #[cfg(feature = "development")]
    ("assets/core-development-D-8JFzYA.wasm.gz", include_bytes!("assets/core-development-D-8JFzYA.wasm.gz")),
    ("assets/core.worker-DZQ4WnvO.js.gz", include_bytes!("assets/core.worker-DZQ4WnvO.js.gz")),
    ("assets/index-9rDnIRuF.css.gz", include_bytes!("assets/index-9rDnIRuF.css.gz")),
    ("assets/index-BwoHLjfW.js.gz", include_bytes!("assets/index-BwoHLjfW.js.gz")),
    ("icon.svg.gz", include_bytes!("icon.svg.gz")),
    ("index.html", include_bytes!("index.html")),
    ("manifest.json", include_bytes!("manifest.json")),
]
