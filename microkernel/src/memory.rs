//! The memory of one subOS as its kernel sees it: typed references to kernel objects, the slot store, pages.
//!
//! A [`Ref`] names an object by its physical address. [`Memory`] turns it into a Rust reference, and because
//! there is one `Memory` per `Kernel`, borrowed with it, two references never alias by accident. That the object
//! is really there is checked by its header on every access: a stale reference is a bug of ours, and stops this
//! subOS at the assertion instead of corrupting it.

use core::marker::PhantomData;
use core::num::NonZeroU32;
use core::ops::{Index, IndexMut};

use caps::{Kind, Slot, SlotRef, Slots};

use crate::arch::physmap;
use crate::limits::PAGE;
use crate::object::endpoint::Endpoint;
use crate::object::reply::Reply;
use crate::object::thread::Thread;
use crate::types::PhysAddr;

/// Objects start at multiples of this, so that a reference fits in 32 bits (up to 256 GiB of memory).
pub const OBJECT_ALIGN: u64 = 64;

/// What tells a kernel object from other memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    tag: u64,
}

impl Header {
    /// The header of an object of this kind.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        // Small enough for an immediate operand: this is compared at every access.
        Self { tag: 0x4152_4300 | kind.number() as u64 }
    }
}

/// A kernel object that lives in the subOS's memory.
///
/// # Safety
/// The type is `repr(C)`, has a [`Header`] at `HEADER`, and its size is at most what retype carves for `KIND`.
pub unsafe trait Object {
    /// The kind of the capabilities that name it.
    const KIND: Kind;
    /// Where in the object its header is: at the start, or behind the slots that the object begins with.
    const HEADER: usize;
}

/// A typed reference to a kernel object of this subOS.
#[repr(transparent)]
pub struct Ref<T> {
    number: NonZeroU32,
    object: PhantomData<fn() -> T>,
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ref<T> {}
impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl<T> Eq for Ref<T> {}
impl<T> core::fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x}", self.address().0)
    }
}

impl<T> Ref<T> {
    /// The object at this address, which a capability or another object names: aligned, and in the first 256 GiB, which was
    /// seen to when it was made.
    ///
    /// # Panics
    /// When the address is 0, which no capability of ours ever holds.
    #[must_use]
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "an object lies in the first 256 GiB")]
    pub fn at(address: PhysAddr) -> Self {
        debug_assert!(address.is_aligned(OBJECT_ALIGN), "an object reference is aligned");
        let number = NonZeroU32::new((address.0 / OBJECT_ALIGN) as u32);
        Self { number: number.expect("an object is not at address 0"), object: PhantomData }
    }

    /// Where the object is.
    #[must_use]
    pub const fn address(self) -> PhysAddr {
        PhysAddr(self.number.get() as u64 * OBJECT_ALIGN)
    }

    /// A number that no other object has.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number.get()
    }
}

/// The authority to reach this subOS's objects and pages. One per `Kernel`.
#[derive(Default)]
pub struct Memory {
    /// During a visit, the memory that references may point into: a page number range per lot.
    fence: Option<Fence>,
}

/// The lots that a visited kernel's references must lie in, by the ledger's word.
#[derive(Clone, Copy)]
pub struct Fence {
    /// Start and end of each lot; unused ones are empty.
    pub lots: [(PhysAddr, PhysAddr); crate::limits::MAX_LOTS],
}

impl Fence {
    fn holds(&self, address: PhysAddr, bytes: u64) -> bool {
        self.lots.iter().any(|(start, end)| *start <= address && address.plus(bytes) <= *end)
    }
}

impl Memory {
    /// The memory of a kernel that nobody visits.
    #[must_use]
    pub const fn new() -> Self {
        Self { fence: None }
    }

    /// From now on, check every reference against these lots. The visitor's page tables map all of memory, so a
    /// reference that leads outside would not fault there.
    pub fn fence(&mut self, fence: Option<Fence>) {
        self.fence = fence;
    }

    /// Whether it is.
    #[inline(always)]
    pub const fn is_fenced(&self) -> bool {
        self.fence.is_some()
    }

    #[cfg_attr(feature = "hooks", track_caller)]
    #[inline(always)]
    fn check(&self, address: PhysAddr, bytes: u64) {
        crate::arch::x86_64::testing::passage();
        if self.fence.is_some() {
            self.check_fence(address, bytes);
        }
    }

    /// Out of the way of those who have no visitor.
    #[cold]
    #[inline(never)]
    fn check_fence(&self, address: PhysAddr, bytes: u64) {
        let inside = self.fence.as_ref().is_none_or(|fence| fence.holds(address, bytes));
        assert!(inside, "a reference leads out of the visited subOS");
    }

    /// Writes a new object over the zeroed memory that retype carved for it.
    #[cfg_attr(feature = "hooks", track_caller)]
    pub fn create<T: Object>(&mut self, address: PhysAddr, object: T) {
        self.check(address, size_of::<T>() as u64);
        // SAFETY: retype carved this memory for an object of T's kind and nothing else refers to it yet.
        unsafe { physmap::pointer::<T>(address).write(object) };
    }

    /// Whether an object of this type is there. For what may name one of several kinds.
    #[must_use]
    pub fn is<T: Object>(&self, object: Ref<T>) -> bool {
        self.check(object.address(), size_of::<T>() as u64);
        let header = physmap::pointer::<Header>(object.address().plus(T::HEADER as u64));
        // SAFETY: the memory is this subOS's, and any word may be read as a header.
        unsafe { *header == Header::new(T::KIND) }
    }

    /// Marks the object as gone, so that a reference that stays behind is noticed.
    pub fn destroy<T: Object>(&mut self, object: Ref<T>) {
        let _ = &self[object];
        // SAFETY: the index above checked that an object of this type, with its header, is here.
        unsafe { physmap::pointer::<u64>(object.address().plus(T::HEADER as u64)).write(0) };
    }

    /// A page of this subOS's memory as 64-bit words.
    #[cfg_attr(feature = "hooks", track_caller)]
    pub fn page_mut(&mut self, page: PhysAddr) -> &mut [u64; (PAGE / 8) as usize] {
        assert!(page.is_aligned(PAGE), "a page is page-aligned");
        self.check(page, PAGE);
        // SAFETY: the caller names a page of this subOS (from a Region or a page table), which this kernel maps;
        // it may be shared with user space, which is why only plain words are read and none is trusted.
        unsafe { &mut *physmap::pointer(page) }
    }

    /// A page of this subOS's memory as 64-bit words, to read.
    #[must_use]
    #[cfg_attr(feature = "hooks", track_caller)]
    pub fn page(&self, page: PhysAddr) -> &[u64; (PAGE / 8) as usize] {
        assert!(page.is_aligned(PAGE), "a page is page-aligned");
        self.check(page, PAGE);
        // SAFETY: as in `page_mut`.
        unsafe { &*physmap::pointer(page) }
    }

    /// Copies words out of a page that user space may write at this very moment: each is read once, and what was
    /// read is what is then checked and used.
    pub fn read_words(&self, page: PhysAddr, first: usize, words: &mut [u64]) {
        let source = self.page(page);
        for (index, word) in words.iter_mut().enumerate() {
            if let Some(place) = source.get(first + index) {
                // SAFETY: the place is a valid, aligned word.
                *word = unsafe { core::ptr::from_ref(place).read_volatile() };
            }
        }
    }

    /// Copies words into a page.
    pub fn write_words(&mut self, page: PhysAddr, first: usize, words: &[u64]) {
        for (place, word) in self.page_mut(page).iter_mut().skip(first).zip(words) {
            *place = *word;
        }
    }

    /// Copies words `from..to` of one page to the same place of another.
    pub fn copy_words(&mut self, source: PhysAddr, target: PhysAddr, words: core::ops::Range<usize>) {
        if source == target {
            return;
        }
        for index in words {
            let value = self.page(source).get(index).copied().unwrap_or(0);
            if let Some(place) = self.page_mut(target).get_mut(index) {
                *place = value;
            }
        }
    }

    /// Clears a whole page.
    pub fn clear_page(&mut self, page: PhysAddr) {
        self.page_mut(page).fill(0);
    }
}

impl<T: Object> Index<Ref<T>> for Memory {
    type Output = T;

    #[cfg_attr(feature = "hooks", track_caller)]
    #[inline(always)]
    fn index(&self, reference: Ref<T>) -> &T {
        self.check(reference.address(), size_of::<T>() as u64);
        let pointer = physmap::pointer::<T>(reference.address());
        let place = physmap::pointer::<Header>(reference.address().plus(T::HEADER as u64));
        // SAFETY: every object has its header there, and a Ref points into memory of this subOS.
        let header = unsafe { *place };
        assert!(header == Header::new(T::KIND), "a reference names an object of its kind");
        // SAFETY: the header says that an object of this type is here, and `self` is borrowed for as long.
        unsafe { &*pointer }
    }
}

impl<T: Object> IndexMut<Ref<T>> for Memory {
    #[cfg_attr(feature = "hooks", track_caller)]
    #[inline(always)]
    fn index_mut(&mut self, reference: Ref<T>) -> &mut T {
        let _ = &self[reference];
        // SAFETY: the index above checked the header, and `self` is borrowed mutably for as long.
        unsafe { &mut *physmap::pointer::<T>(reference.address()) }
    }
}

/// The objects that a message concerns, all at once.
pub struct Meeting<'a> {
    /// Who sends it.
    pub from: &'a mut Thread,
    /// Who gets it.
    pub to: &'a mut Thread,
    /// Where they meet.
    pub endpoint: &'a mut Endpoint,
    /// What remembers who waits for the answer.
    pub reply: &'a mut Reply,
}

impl Memory {
    /// The objects that a message concerns. They do not overlap: the threads differ, the others are of another kind each.
    #[inline(always)]
    pub fn meeting(
        &mut self,
        [from, to]: [Ref<Thread>; 2],
        endpoint: Ref<Endpoint>,
        reply: Ref<Reply>,
    ) -> Meeting<'_> {
        assert!(from != to, "nobody sends to himself");
        let (_, _, _, _) = (&self[from], &self[to], &self[endpoint], &self[reply]);
        // SAFETY: the index above checked the header, none of the four overlaps another, and `self` is borrowed mutably.
        let from = unsafe { &mut *physmap::pointer(from.address()) };
        // SAFETY: as above.
        let to = unsafe { &mut *physmap::pointer(to.address()) };
        // SAFETY: as above.
        let endpoint = unsafe { &mut *physmap::pointer(endpoint.address()) };
        // SAFETY: as above.
        let reply = unsafe { &mut *physmap::pointer(reply.address()) };
        Meeting { from, to, endpoint, reply }
    }
}

/// A slot is named by its address, as objects are.
impl Slots for Memory {
    #[cfg_attr(feature = "hooks", track_caller)]
    #[inline(always)]
    fn slot(&self, slot: SlotRef) -> &Slot {
        let address = slot_address(slot);
        self.check(address, size_of::<Slot>() as u64);
        // SAFETY: slot references come only from tables that retype carved and from objects' own slots.
        unsafe { &*physmap::pointer(address) }
    }

    #[cfg_attr(feature = "hooks", track_caller)]
    #[inline(always)]
    fn slot_mut(&mut self, slot: SlotRef) -> &mut Slot {
        let address = slot_address(slot);
        self.check(address, size_of::<Slot>() as u64);
        // SAFETY: as in `slot`, and `self` is borrowed mutably.
        unsafe { &mut *physmap::pointer(address) }
    }
}

/// Where a slot is.
#[must_use]
pub fn slot_address(slot: SlotRef) -> PhysAddr {
    PhysAddr(slot.address())
}

/// One of the slots that an object begins with. Slots are as long as objects are aligned, so they count alike.
#[must_use]
#[inline]
pub fn own_slot<T>(object: Ref<T>, index: u32) -> SlotRef {
    const { assert!(OBJECT_ALIGN == Slot::SIZE) };
    SlotRef::new(object.number() + index).expect("numbers of objects are not 0")
}
