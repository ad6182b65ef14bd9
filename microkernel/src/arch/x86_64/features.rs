//! What this processor offers (CPUID), and the control registers that follow from it.

use bitflags::bitflags;
use raw_cpuid::CpuId;
use spin::Once;

use super::frame::FxArea;
use super::instructions::{read_cr0, read_cr4, write_cr0, write_cr4};

bitflags! {
    /// Optional features the kernel makes use of.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// Supervisor-mode execution prevention.
        const SMEP = 1 << 0;
        /// Supervisor-mode access prevention.
        const SMAP = 1 << 1;
        /// User-mode instruction prevention (SGDT, SIDT, SLDT, SMSW, STR).
        const UMIP = 1 << 2;
        /// The x2APIC mode of the local APIC.
        const X2APIC = 1 << 3;
        /// Indirect-branch prediction barrier (MSR 0x49).
        const IBPB = 1 << 4;
        /// Flush of the first-level data cache (MSR 0x10b).
        const L1D_FLUSH = 1 << 5;
        /// VERW clears microarchitectural buffers.
        const MD_CLEAR = 1 << 6;
        /// The TSC ticks at a constant rate in all states.
        const INVARIANT_TSC = 1 << 7;
    }
}

#[cfg_attr(feature = "image", unsafe(link_section = ".sealed"))]
static FEATURES: Once<Features> = Once::new();

/// The features found at boot; none before [`detect`].
#[must_use]
pub fn features() -> Features {
    FEATURES.get().copied().unwrap_or(Features::empty())
}

#[cfg_attr(feature = "image", unsafe(link_section = ".sealed"))]
static MXCSR_MASK: Once<u32> = Once::new();

/// The bits of MXCSR that this processor has (SDM vol 1, 11.6.6).
#[must_use]
pub fn mxcsr_mask() -> u32 {
    MXCSR_MASK.get().copied().unwrap_or(DEFAULT_MXCSR_MASK)
}

const DEFAULT_MXCSR_MASK: u32 = 0xffbf;

fn read_mxcsr_mask() -> u32 {
    let mut area = FxArea([0; 512]);
    // SAFETY: the area is 512 bytes, 16-aligned, and ours.
    unsafe { core::arch::x86_64::_fxsave64(area.0.as_mut_ptr()) };
    match u32::from_le_bytes([area.0[28], area.0[29], area.0[30], area.0[31]]) {
        0 => DEFAULT_MXCSR_MASK,
        mask => mask,
    }
}

/// Reads CPUID on the first core; the others are assumed equal, as every system in use assumes.
///
/// # Panics
/// When the processor cannot keep data from being executed: the page tables of the kernel rest on that.
pub fn detect() -> Features {
    let cpuid = CpuId::new();
    let nx =
        cpuid.get_extended_processor_and_feature_identifiers().is_some_and(|leaf| leaf.has_execute_disable());
    assert!(nx, "this processor has no NX (CPUID 0x80000001, EDX bit 20), without which no wall stands");
    let mut found = Features::empty();
    if let Some(basic) = cpuid.get_feature_info() {
        found.set(Features::X2APIC, basic.has_x2apic());
    }
    if let Some(extended) = cpuid.get_extended_feature_info() {
        found.set(Features::SMEP, extended.has_smep());
        found.set(Features::SMAP, extended.has_smap());
        found.set(Features::UMIP, extended.has_umip());
    }
    if cpuid.get_advanced_power_mgmt_info().is_some_and(|power| power.has_invariant_tsc()) {
        found |= Features::INVARIANT_TSC;
    }
    if cpuid.get_vendor_info().is_some() {
        // Leaf 7 EDX (SDM vol 2, CPUID): bit 10 MD_CLEAR, bit 26 IBRS and IBPB, bit 28 L1D_FLUSH.
        let leaf7 = core::arch::x86_64::__cpuid_count(7, 0).edx;
        found.set(Features::MD_CLEAR, leaf7 & (1 << 10) != 0);
        found.set(Features::IBPB, leaf7 & (1 << 26) != 0);
        found.set(Features::L1D_FLUSH, leaf7 & (1 << 28) != 0);
    }
    MXCSR_MASK.call_once(read_mxcsr_mask);
    *FEATURES.call_once(|| found)
}

/// CR4 bits (SDM vol 3, 2.5).
mod cr4 {
    pub(super) const TSD: u64 = 1 << 2;
    pub(super) const DE: u64 = 1 << 3;
    pub(super) const MCE: u64 = 1 << 6;
    pub(super) const PGE: u64 = 1 << 7;
    pub(super) const PCE: u64 = 1 << 8;
    pub(super) const OSFXSR: u64 = 1 << 9;
    pub(super) const OSXMMEXCPT: u64 = 1 << 10;
    pub(super) const UMIP: u64 = 1 << 11;
    pub(super) const FSGSBASE: u64 = 1 << 16;
    pub(super) const OSXSAVE: u64 = 1 << 18;
    pub(super) const SMEP: u64 = 1 << 20;
    pub(super) const SMAP: u64 = 1 << 21;
}

/// CR0 bits (SDM vol 3, 2.5).
mod cr0 {
    pub(super) const MP: u64 = 1 << 1;
    pub(super) const EM: u64 = 1 << 2;
    pub(super) const TS: u64 = 1 << 3;
    pub(super) const NE: u64 = 1 << 5;
    pub(super) const WP: u64 = 1 << 16;
    pub(super) const AM: u64 = 1 << 18;
}

/// Sets this core's control registers: write protection, SMEP, SMAP and UMIP where offered, machine checks
/// (without the bit one would reset the machine), global pages, SSE
/// without XSAVE (so that AVX faults), no FSGSBASE (the kernel knows every user base it loaded).
pub fn set_control_registers() {
    let found = features();
    let zero = (read_cr0() | cr0::MP | cr0::NE | cr0::WP) & !(cr0::EM | cr0::TS | cr0::AM);
    // SAFETY: protection and paging are kept from the value read.
    unsafe { write_cr0(zero) };

    let mut four = read_cr4() | cr4::DE | cr4::MCE | cr4::PGE | cr4::OSFXSR | cr4::OSXMMEXCPT;
    four &= !(cr4::TSD | cr4::PCE | cr4::FSGSBASE | cr4::OSXSAVE);
    for (feature, bit) in
        [(Features::SMEP, cr4::SMEP), (Features::SMAP, cr4::SMAP), (Features::UMIP, cr4::UMIP)]
    {
        if found.contains(feature) {
            four |= bit;
        }
    }
    // SAFETY: each optional bit was offered by CPUID; the others exist on every x86-64 processor.
    unsafe { write_cr4(four) };
}
