//! The guest's side of the target cases: what runs as subOS 0 when the harness tests the machine.
//!
//! A case is a function that returns nothing or what went wrong; its name is that of its module and its own, and it
//! is listed twice: in `cases!` below, and in `test-harness/src/cases/table.rs`, which says on what machine it runs
//! and what must come of it. A host test compares the two lists.
//!
//! It is a library so that the host can compile and list it; nothing of it works there.
#![no_std]

extern crate alloc;

mod abroad;
mod accounts;
mod adversaries;
pub mod bench;
mod boot;
mod catastrophes;
mod channels;
mod chores;
mod cores;
pub mod crasher;
mod crowds;
mod depot;
mod errors;
mod events;
mod faults;
mod grants;
mod guests;
mod hostiles;
mod injections;
mod ipc;
mod keepers;
mod library;
mod mortals;
mod moves;
mod museum;
mod mutants;
mod objects;
mod parlour;
mod places;
mod plants;
pub mod player;
mod processes;
mod protections;
mod puppet;
mod quiet;
mod residents;
mod rig;
mod scrubs;
mod services;
mod shares;
mod steward;
mod subos;
mod suboses;
mod tenants;
mod trickery;
pub mod turmoil;
mod turns;
mod walls;
mod wards;
mod wild;

use alloc::format;
use alloc::string::String;

use userlib::Error;

/// How long to wait for what must come. The harness ends a run by a deadline of its own, which is stretched by how slow
/// the host is: so a slow host fails no case here that would end well.
pub(crate) const PATIENCE: core::time::Duration = core::time::Duration::from_secs(60);

/// What comes of a case: nothing, or what went wrong.
pub type Outcome = Result<(), String>;

/// A case: its name and what it does.
pub type Case = (&'static str, fn() -> Outcome);

macro_rules! cases {
    ($($module:ident { $($case:ident)* })*) => {
        /// Every case there is.
        pub const CASES: &[Case] = &[
            $($((concat!(stringify!($module), "::", stringify!($case)), $module::$case),)*)*
        ];
    };
}

cases! {
    boot { one_core two_cores four_cores sixteen_cores sixty_four_cores }
    crowds { a_full_house }
    faults {
        page_faults_say_what_was_tried exceptions_arrive_as_they_are floating_point_exceptions_arrive
        alignment_checks_harm_nobody an_answer_lets_it_go_on a_handler_can_map an_unanswered_fault_stays
        a_handler_that_goes_leaves_it_standing nobody_handles_it
    }
    catastrophes {
        a_non_canonical_return_address hostile_flags flags_at_a_system_call privileged_instructions
        model_specific_registers a_jump_into_the_kernel segments_of_the_kernel hostile_stack_pointers
        a_thread_that_never_yields vector_registers_survive_preemption vector_registers_leak_nothing
        hostile_vector_state registers_outside_user_space
    }
    guests {
        traps_return_what_happened registers_survive_thousands_of_exits deadlines_end_a_spinning_guest
        a_signal_ends_a_guest what_cannot_be_entered two_threads_want_one_guest a_guest_of_ones_own_goes
        a_suspended_guest_goes_on hostile_flags_in_a_guest vector_registers_cross_at_the_page_only
    }
    cores {
        calls_cross_cores calls_cross_two_cores threads_change_cores stops_and_starts_race a_stopped_thread_stands
        mappings_go_on_every_core objects_go_while_in_use guests_go_while_entered signals_interrupt_guests
        everybody_makes_and_removes deadlines_on_every_core spaces_are_used_again_at_once
        wild_values_on_many_cores only_who_runs_there_is_asked
    }
    objects {
        every_kind_is_made memory_comes_back_clean copies_have_no_more_rights derivation_has_a_bound
        a_move_keeps_the_place a_moved_binding_still_maps things_remove_themselves nobody_asks_for_the_rest
        an_abandoned_removal_ends
        revoking_is_at_once a_thread_loses_what_it_uses
    }
    ipc {
        messages_arrive_as_sent long_messages capabilities_go_along two_threads_share_a_page
        deadlines_end_every_wait what_goes_cancels_waits unbadging_wakes_its_callers_only
        many_badges_go_at_once
        several_wait_for_one_notification bound_notifications priorities_decide threads_without_a_page
    }
    trickery {
        a_waiting_message_cannot_be_changed a_revoked_binding_of_a_notification_ends deadlines_beyond_all_time
        a_refused_configuration_changes_nothing a_revoke_becomes_a_reset what_is_moved_is_moved_whole
        who_helps_removes_itself
    }
    wild { values_in_every_argument op_words a_thread_with_a_table_of_its_own values_for_suboses }
    moves { cores_come_and_go_under_load lots_come_and_go_under_load
        the_only_core_goes_in_the_middle_of_a_removal }
    mortals { dies_at_every_step }
    adversaries {
        never_yields tries_everything floods fills_every_table forks_capabilities keeps_its_lock_hot maps_everything
        removes_without_end hides_in_messages
    }
    library {
        heap_grows threads_return_values a_lock_excludes a_stack_overflow_faults mappings_come_and_go
        an_interface_is_served waits_end signals_end_a_receive
    }
    suboses {
        one_is_made_and_ends a_core_moves one_is_suspended_and_resumed a_lot_moves
        wrong_requests_are_refused one_without_a_master_ends a_first_program_that_faults_is_shown_in_full
        a_lot_full_of_life_is_taken a_core_is_asked_for_first anything_in_any_order
    }
    shares {
        a_window_opens_and_closes a_peer_dies_in_the_middle both_die what_is_taken_is_gone
        nothing_is_made_of_a_window wrong_windows_are_refused doorbells_follow_their_cores
        a_window_is_out_of_reach_of_others a_window_of_a_silent_core_is_given_up anything_in_any_order
    }
    accounts { objects_are_counted_by_kind kernel_time_is_charged_to_who_causes_it }
    scrubs { nobody_reads_anothers_bytes clearing_at_a_grant_is_interrupted }
    grants { all_come_at_once one_keeps_back_all }
    channels { messages_cross buffers_change_hands rubbish_breaks_the_channel_only }
    walls {
        another_kernel_is_out_of_reach a_neighbours_kernel_is_out_of_reach a_core_cannot_answer_for_itself
        every_visit_to_a_lying_kernel_condemns_it the_audit_finds_what_is_broken free_memory_is_out_of_reach the_ledger_is_out_of_reach
        other_cores_areas_are_out_of_reach others_shares_are_out_of_reach the_image_cannot_be_written
        a_stack_overflow_is_contained a_double_fault_is_contained a_panic_is_contained
        a_lock_that_is_held_for_ever_costs_its_holder a_lying_kernel_is_found_out_by_a_visit
        a_core_that_never_answers_is_quarantined a_core_that_lets_go_of_nothing_costs_its_subos a_lot_waits_for_a_core_on_its_way_out
        a_panic_of_the_supervisors_kernel_ends_the_machine two_cores_that_die_at_once_leave_one_epitaph
    }
    places { a_kernel_fails_at_any_of_them a_visit_fails_at_any_of_them
        a_kernel_fails_at_every_passage a_visit_fails_at_every_passage }
    injections {
        bits_of_arguments_flip every_bit_of_every_argument_flips interrupts_are_lost_and_doubled
        thousands_of_interrupts_are_lost_and_doubled bytes_of_windows_flip
        every_byte_of_windows_flips cores_stop_answering
    }
    keepers { a_supervisor_crashes_and_goes_on }
    protections {
        users_memory_is_not_the_kernels data_is_not_executed what_is_read_is_not_written
        the_boot_core_reads_no_users_memory the_boot_core_writes_no_users_memory
        the_boot_core_executes_no_users_code the_boot_core_executes_no_data the_boot_core_writes_no_image
    }
    errors {
        of_untyped of_regions of_spaces of_lookup of_tables of_threads of_guests of_endpoints of_replies
        of_notifications of_consoles of_machine of_suboses of_condemned_suboses of_uplinks of_every_target
    }
    mutants { none blind_to_rights a_greedy_copy an_early_done a_lost_effect a_stray_write }
    museum { many_badges_go_at_once bound_notifications }
    services {
        lent_memory_comes_back moved_capabilities_move wrong_capabilities_are_refused wrong_messages_are_refused
        a_wrong_fingerprint_is_told callers_that_give_up_are_no_error a_server_that_never_answers
        a_server_that_dies_in_mid_call lent_memory_is_taken_back_in_mid_call a_client_that_dies_in_mid_call
        a_flood_drowns_nobody
    }
    events {
        a_subscriber_is_told what_is_no_bell_is_refused who_never_fetches_harms_itself
        who_floods_with_fetches_harms_itself a_subscriber_that_dies_is_forgotten
    }
    turns { who_waits_keeps_nobody_waiting a_session_has_its_part callers_that_give_up_or_die_leave_room }
    quiet { a_core_that_parks_is_not_waited_for long_operations_are_interrupted }
    processes { a_process_serves a_stray_write_is_reported a_panic_is_reported a_process_stays_in_its_budget }
}

/// What a case draws from: what the arguments say after its name, if the run is to be like another. It is printed.
pub(crate) fn seed() -> u64 {
    let arguments = userlib::environment().arguments();
    let told = arguments.split_once('@').and_then(|(_, seed)| seed.parse().ok());
    let seed = told.unwrap_or_else(|| userlib::time::now().0) | 1;
    userlib::println!("seed {seed}: again with ARCHIPELAGO_SEED={seed}");
    seed
}

/// The case with this name, which may be followed by `@` and a seed.
#[must_use]
pub fn find(name: &str) -> Option<Case> {
    let name = name.split('@').next().unwrap_or(name);
    CASES.iter().copied().find(|(known, _)| *known == name)
}

/// Runs a case, in a subOS of its own if it needs several cores.
///
/// # Errors
/// What went wrong.
pub fn perform((name, case): Case) -> Outcome {
    if name.starts_with("cores::") { abroad::run(name) } else { case() }
}

/// Tells the supervisor what came of a case that ran in a subOS of its own.
pub fn report_home(result: &Outcome) {
    abroad::report(result);
}

/// What a case started as a process of its own runs, if this is such a name, which more may follow.
#[must_use]
pub fn child(name: &str) -> Option<fn()> {
    processes::CHILDREN
        .iter()
        .chain(wards::CHILDREN)
        .chain(walls::CHILDREN)
        .chain(tenants::CHILDREN)
        .chain(accounts::CHILDREN)
        .chain(SUBOSES)
        .chain(moves::CHILDREN)
        .chain(quiet::CHILDREN)
        .chain(places::CHILDREN)
        .chain(keepers::CHILDREN)
        .chain(injections::CHILDREN)
        .chain(hostiles::CHILDREN)
        .chain(mortals::CHILDREN)
        .chain(scrubs::CHILDREN)
        .chain(adversaries::CHILDREN)
        .find(|(known, _)| *known == name.split(' ').next().unwrap_or(name))
        .map(|(_, child)| *child)
}

/// What this program does in subOSes of cases.
const SUBOSES: &[(&str, fn())] =
    &[("subos::uplink", || subos::inside(errors::uplink_subos)), ("subos::idle", || subos::inside(|| ()))];

/// What to say of an error: `.map_err(said("what was tried"))`.
pub(crate) fn said(what: &str) -> impl Fn(Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}
