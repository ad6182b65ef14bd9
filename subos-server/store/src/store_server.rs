//! The store, as a server of a table. The argument `lives=N` lets it crash after so many requests, for those who want to
//! see what happens then.
#![no_std]
#![no_main]

use idl::interface::{Answer, Caller, Dispatch, Refusal, Request};
use subos_store::{Shelf, Store, StoreDispatch};
use userlib::server::Service;
use userlib::{Error, directory, environment};

userlib::main!(main);

fn main() -> Result<(), &'static str> {
    let lives = environment().argument("lives").map(str::parse).transpose();
    let lives = lives.map_err(|_| "the argument lives is a number of requests")?;
    let service = Service::on(directory::own_endpoint()).map_err(Error::name)?;
    let store = StoreDispatch(Shelf::default());
    Err(service.serve(&mut Mortal { store, lives: lives.unwrap_or(u64::MAX) }).name())
}

/// The store, for so many requests.
struct Mortal {
    store: StoreDispatch<Shelf>,
    lives: u64,
}

impl Dispatch for Mortal {
    type Interface = Store;

    fn dispatch(
        &mut self,
        method: u32,
        caller: Caller<Store>,
        request: &Request<'_>,
        answer: &mut Answer,
    ) -> Result<(), Refusal> {
        self.lives = self.lives.checked_sub(1).expect("as its arguments want it");
        self.store.dispatch(method, caller, request, answer)
    }
}
