//! A subOS, as its supervisor sees it.

use caps::Handle;
use idl_macros::kernel_object;

use crate::types::{
    Bits, Chunks, CoreNumber, Length, LotNumber, PageIndex, Pages, Progress, Scrubbing, StatisticsQuestion,
    SubOsNumber, SubOsState, Ticks,
};
use crate::word::words;

words! {
    /// What a subOS is about and what it has.
    pub struct SubOsInfo {
        /// What it is about.
        state: SubOsState,
        /// A bit for each of its cores.
        cores: u64,
        /// Its chunks, the home lot's included.
        chunks: Chunks,
        /// The number by which the ledger names it.
        number: SubOsNumber,
    }
}

words! {
    /// A window, as each of the two counts its lots.
    pub struct SharedLots {
        /// In the subOS that was asked.
        lot: LotNumber,
        /// In its peer.
        peer: LotNumber,
    }
}

words! {
    /// What came of several wishes at once.
    pub struct Grant {
        /// 0: all was given. Else nothing was, because of this one, counted from 1: the cores in the order of their
        /// numbers, then the lots.
        refused: u64,
        /// Why: the number of `NoResource` or `BadSize`.
        error: u64,
        /// The first lot, or 0 if there was none.
        first: LotNumber,
        /// The second.
        second: LotNumber,
        /// The third.
        third: LotNumber,
    }
}

/// A subOS, as its supervisor sees it. `Condemned` is the answer of what needs a kernel that still works.
#[kernel_object(kind = SubOs)]
pub trait SubOs {
    /// Copies a program image from a region of the caller into the home lot of a subOS that has not started,
    /// and builds its first thread. The arguments are the first `arguments` bytes of the message page. The
    /// region needs READ.
    #[method(id = 1, rights = MANAGE, errors(WrongState, BadRange, BadImage, OutOfMemory, NotConfigured, TooLong, Condemned))]
    fn load(region: Handle, page: PageIndex, pages: Pages, arguments: Length);

    /// Makes the loaded subOS run, on whatever cores it has and will have.
    #[method(id = 2, rights = MANAGE, errors(WrongState, Condemned))]
    fn start();

    /// Gives it a free core. `NoResource`: there is no such core, or it is not free.
    #[method(id = 3, rights = MANAGE, errors(NoResource, Condemned))]
    fn grant_core(core: CoreNumber);

    /// Takes a core. Until the deadline it is asked for; from then on (at once for 0, or a point in the past)
    /// it is forced. Call until it is done.
    #[method(id = 4, rights = MANAGE, errors(NotOwner, Condemned))]
    fn reclaim_core(core: CoreNumber, deadline: Ticks) -> Progress;

    /// Gives it a lot of so many free, contiguous chunks. `NoResource`: there is none, or it has too many
    /// lots already.
    #[method(id = 5, rights = MANAGE, errors(BadSize, NoResource, Condemned))]
    fn grant_lot(chunks: Chunks) -> LotNumber;

    /// Takes a lot with everything in it, and clears it. Call until it is done. Of a window it takes this side; it is
    /// cleared when both are gone.
    #[method(id = 6, rights = MANAGE, errors(NotOwner, HomeLot, Condemned))]
    fn reclaim_lot(lot: LotNumber) -> Progress;

    /// Ends it by force and takes everything it has. Call until it is done; the last call deletes this
    /// capability.
    #[method(id = 7, rights = MANAGE)]
    fn destroy() -> Progress;

    /// Sends it five words; the first must be below 2^63. It gets them from its Uplink.
    #[method(id = 8, rights = CALL, errors(InvalidArgument, Full, Condemned))]
    fn send(word_0: u64, word_1: u64, word_2: u64, word_3: u64, word_4: u64);

    /// Takes the oldest record that it, or its kernel, sent.
    #[method(id = 9, rights = RECEIVE, errors(Empty))]
    fn receive() -> [u64; 5];

    /// Which bits of which notification to signal when it sent something. 0 unbinds. The notification needs
    /// CALL.
    #[method(id = 10, rights = RECEIVE, errors(AlreadyBound))]
    fn bind(notification: Handle, bits: Bits);

    /// Takes at most `most` bytes of its console into the message page; answers with how many came.
    #[method(id = 11, rights = READ, errors(NotConfigured, TooLong))]
    fn read_console(most: Length) -> Length;

    /// What it did on a core, whether it still has the core or not.
    #[method(id = 12, rights = READ, errors(NoResource, Condemned))]
    fn statistics(core: CoreNumber, which: StatisticsQuestion) -> [u64; 5];

    /// What its kernel said when it died, as text in the message page.
    #[method(id = 13, rights = READ, errors(NotConfigured, Empty))]
    fn epitaph() -> Length;

    /// What it is about and what it has.
    #[method(id = 14, rights = READ)]
    fn info() -> SubOsInfo;

    /// Copies pages of a region of the caller into the home lot of a subOS that is not loaded yet, where its
    /// first program finds them in slot `MODULES`. The region needs READ. Call until it is done.
    #[method(id = 15, rights = MANAGE, errors(WrongState, BadRange, OutOfMemory, Condemned))]
    fn attach(region: Handle, page: PageIndex, pages: Pages) -> Progress;

    /// Opens a window to another: so many free, contiguous chunks that both have, as a region but for the first page, with a
    /// doorbell each way. Either's side is taken by `reclaim_lot` or ends with it; the other is told, and the memory is
    /// cleared and free when both are gone. The peer needs MANAGE. `NoResource`: there is no such run, or one of them has
    /// too many lots already.
    #[method(id = 16, rights = MANAGE, errors(BadSize, NoResource, Condemned))]
    fn share(peer: Handle, chunks: Chunks) -> SharedLots;

    /// Gives it several things at once, or nothing: these free cores, a bit each, and up to three lots of so many free,
    /// contiguous chunks; 0 is none. The answer says which of them was the reason if it got nothing.
    #[method(id = 17, rights = MANAGE, errors(Condemned))]
    fn grant(cores: u64, first: Chunks, second: Chunks, third: Chunks) -> Grant;

    /// When what is taken from it from now on, with its end too, is cleared; `AtOnce` if nothing else is said.
    #[method(id = 18, rights = MANAGE)]
    fn set_scrubbing(when: Scrubbing);
}
