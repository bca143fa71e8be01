//! Apps and scripts as the runner writes them: a number for each byte.
//!
//! Compared as they are written, since one value has one encoding there: decoding 64 numbers for
//! each charm would be most of what a clearing costs.

use std::rc::Rc;

use grail_app_facts::{
    AppId,
    cbor::{Writer, major},
};

/// An app as the runner writes it: an array of its tag as text, and of two arrays of 32 numbers.
pub fn raw_app(app: &AppId) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.head(major::ARRAY, 3);
    writer.text(app.tag.encode_utf8(&mut [0; 4]));
    numbers(&mut writer, &app.identity);
    numbers(&mut writer, &app.vk);
    writer.finish()
}

/// A script as the runner writes it: an array of numbers.
pub fn raw_script(script: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    numbers(&mut writer, script);
    writer.finish()
}

fn numbers(writer: &mut Writer, bytes: &[u8]) {
    writer.array(bytes.len());
    for byte in bytes {
        writer.uint(*byte);
    }
}

/// An app and how the runner writes it.
#[derive(Clone, Debug)]
pub struct Key {
    pub app: Rc<AppId>,
    pub raw: Rc<[u8]>,
}

impl Key {
    pub fn new(app: AppId) -> Self {
        let raw = raw_app(&app).into();
        let app = Rc::new(app);
        Self { app, raw }
    }
}

/// The apps whose charms a clearing can hold.
pub struct Keys {
    pub main: Key,
    pub share: Option<Key>,
    pub assets: Vec<Key>,
}
