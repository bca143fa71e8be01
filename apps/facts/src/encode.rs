//! Facts to bytes.

use alloc::vec::Vec;

use crate::{AppId, Asset, Coin, FORMAT, Facts, Order, Price, cbor::Writer};

impl Facts {
    /// The canonical bytes: a CBOR array of `[1, home or null, lock height, age, cells in, prices,
    /// orders]`.
    ///
    /// What is beyond the limits is written all the same, and refused by [`Facts::decode`].
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(7);
        writer.uint(FORMAT);
        optional_bytes(&mut writer, self.home.as_ref().map(<[u8; 34]>::as_slice));
        writer.uint(self.lock_height);
        writer.uint(self.age);
        writer.uint(self.cells_in);
        writer.array(self.prices.len());
        for price in &self.prices {
            write_price(&mut writer, price);
        }
        writer.array(self.orders.len());
        for order in &self.orders {
            write_order(&mut writer, order);
        }
        writer.finish()
    }
}

fn write_price(writer: &mut Writer, price: &Price) {
    writer.array(4);
    writer.bytes(&price.pair);
    writer.bytes(&price.feeds);
    writer.uint(price.price);
    writer.uint(price.height);
}

/// `[outpoint, id, destination, keep or null, fee share, author or null, wants, payload]`.
fn write_order(writer: &mut Writer, order: &Order) {
    writer.array(8);
    writer.bytes(&order.outpoint);
    writer.bytes(&order.id);
    writer.bytes(order.destination.script());
    match order.coin {
        Coin::Keep => writer.null(),
        Coin::Offer { keep } => writer.uint(keep),
    }
    writer.uint(order.fee_share);
    optional_bytes(writer, order.author.as_ref().map(<[u8; 32]>::as_slice));
    writer.array(order.wants.len());
    for want in &order.wants {
        writer.array(2);
        match &want.asset {
            Asset::Btc => writer.null(),
            Asset::Charm(app) => write_app(writer, app),
        }
        writer.uint(want.amount);
    }
    writer.bytes(&order.payload);
}

fn write_app(writer: &mut Writer, app: &AppId) {
    writer.array(3);
    writer.uint(u32::from(app.tag));
    writer.bytes(&app.identity);
    writer.bytes(&app.vk);
}

fn optional_bytes(writer: &mut Writer, value: Option<&[u8]>) {
    match value {
        Some(bytes) => writer.bytes(bytes),
        None => writer.null(),
    }
}
