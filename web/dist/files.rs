// Written by `cargo xtask web`: the page's files, as `grail-backend` embeds them.
&[
    ("assets/core-BmiQ6SAj.wasm.gz", include_bytes!("assets/core-BmiQ6SAj.wasm.gz")),
    #[cfg(feature = "development")]
    ("assets/core-development-CO_W_eY0.wasm.gz", include_bytes!("assets/core-development-CO_W_eY0.wasm.gz")),
    ("assets/core.worker-DZQ4WnvO.js.gz", include_bytes!("assets/core.worker-DZQ4WnvO.js.gz")),
    ("assets/index-9rDnIRuF.css.gz", include_bytes!("assets/index-9rDnIRuF.css.gz")),
    ("assets/index-B7xvig9p.js.gz", include_bytes!("assets/index-B7xvig9p.js.gz")),
    ("icon.svg.gz", include_bytes!("icon.svg.gz")),
    ("index.html", include_bytes!("index.html")),
    ("manifest.json", include_bytes!("manifest.json")),
]
