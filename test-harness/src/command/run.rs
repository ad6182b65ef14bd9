//! Plays a manifest, shows what happens, and judges it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use idl::bundle::{EntryKind, PLAN};
use idl::plan::MAX_ENCODED;

use crate::cli::Options;
use crate::failure::{Doing, Failure, Result};
use crate::host;
use crate::image::{self, Class, Content};
use crate::machine::{self, Clockwork, Debugger, Exit, Machine, Run};
use crate::manifest::{self, Compare, Manifest, Overrides, Source};
use crate::place::{self, shown};
use crate::say::{colours, say};
use crate::story::{Story, judge};
use crate::tools;
use crate::view;

/// Plays the manifest, or the demonstration.
pub(super) fn run(options: &Options, manifest: Option<&Path>, input: Option<&Path>) -> Result<()> {
    let path = manifest.map_or_else(manifest::demo, Path::to_owned);
    let overrides = Overrides { cores: options.cores, memory: options.memory };
    let manifest = manifest::load(&path, overrides)?;
    let input = input.map_or_else(host::documents, host::file)?;
    say(format_args!("playing {}", shown(&path)));
    let qemu = tools::qemu(options.install())?;
    let accelerator = machine::choose_accelerator(options.accel, &qemu)?;
    let files = host::Files::gather(&manifest, &input)?;
    let kernel = image::kernel(Class::Kernel)?;
    let bundle = image::write_bundle("run", &contents(&manifest, &files)?)?;
    let machine = Machine {
        qemu,
        accelerator,
        cores: manifest.cores,
        memory: manifest.memory,
        clockwork: Clockwork::Free,
        debugger: if options.gdb { Debugger::Waits } else { Debugger::None },
        extra: Vec::new(),
    };
    say(format_args!(
        "starting {} cores and {} MiB with {}",
        machine.cores,
        machine.memory,
        accelerator.name()
    ));
    let mut live = view::Live::new(&manifest);
    let mut story = Story::default();
    let nominal = Duration::from_secs(u64::from(manifest.seconds));
    let run = Run { machine: &machine, kernel: &kernel, bundle: bundle.path(), nominal };
    let outcome = run.play(&mut |line| {
        if let Some(event) = story.tell(&line.text) {
            live.show(line.at, &event);
        }
    });
    live.end();
    let outcome = outcome?;
    let transcript = place::scratch("run")?.join("transcript.txt");
    fs::write(&transcript, outcome.transcript.join("\n"))
        .doing(|| format!("cannot write {}", transcript.display()))?;
    show_pictures(&story, &path, &manifest)?;
    let mut wrong = judge(&story, &manifest);
    wrong.extend(compare(&story, &manifest, &files)?);
    if outcome.exit != Exit::Success {
        return Err(outcome.failure(&with_list("the run did not end well", &wrong)));
    }
    if wrong.is_empty() {
        say(format_args!("all is well, after {:.1} s", outcome.elapsed.as_secs_f64()));
        return Ok(());
    }
    let next = format!("the whole transcript is in {}", shown(&transcript));
    Err(Failure::new("the run ended, but not all is well").detail(wrong.join("\n")).next(next))
}

fn with_list(what: &str, wrong: &[String]) -> String {
    if wrong.is_empty() { what.to_owned() } else { format!("{what} ({})", wrong.join("; ")) }
}

/// What the supervisor finds in its bundle.
fn contents(manifest: &Manifest, files: &host::Files) -> Result<Vec<Content>> {
    let mut buffer = vec![0; MAX_ENCODED];
    let plan =
        idl::plan::encode(&manifest.plan, &mut buffer).doing(|| "the plan cannot be encoded".to_owned())?;
    let mut contents = vec![
        Content::new(idl::bundle::BOOT, EntryKind::Program, host::program("supervisor")?),
        Content::new(PLAN, EntryKind::File, plan.to_vec()),
    ];
    for subos in &manifest.plan.suboses {
        let name = subos.program.as_str();
        if !contents.iter().any(|content| content.name == name) {
            contents.push(Content::new(name, EntryKind::Program, host::program(name)?));
        }
    }
    for (subos, planned) in manifest.suboses.iter().zip(&manifest.plan.suboses) {
        if planned.files.is_empty() {
            continue;
        }
        let nested: Vec<Content> = subos
            .files
            .iter()
            .map(|name| {
                let program = matches!(manifest.files.get(name), Some(Source::Program(_)));
                let kind = if program { EntryKind::Program } else { EntryKind::File };
                Content::new(name, kind, files.get(name).to_vec())
            })
            .collect();
        contents.push(Content::nested(&planned.files, &nested)?);
    }
    Ok(contents)
}

/// The summary and the pictures, to standard output and to files.
fn show_pictures(story: &Story, manifest_path: &Path, manifest: &Manifest) -> Result<()> {
    let out = std::io::stdout();
    if !story.stats.is_empty() {
        println!("\nWhat each subOS did on each core\n\n{}", view::summary(&story.stats, &story.timeline));
    }
    if !story.timeline.owners().is_empty() {
        println!("Who had what\n\n{}", view::timeline(&story.timeline, colours(&out)));
        let name = manifest_path.file_stem().unwrap_or_default().to_string_lossy();
        let file = place::scratch("run")?.join(format!("{name}.svg"));
        let title = format!("{name}: who had which core and how much memory");
        fs::write(&file, view::picture(&story.timeline, &title, &manifest.steps))
            .doing(|| format!("cannot write {}", file.display()))?;
        println!("The same as a picture: {}\n", shown(&file));
    }
    Ok(())
}

/// Runs on the host what subOSes ran, where the manifest asks for it, and says what differs.
fn compare(story: &Story, manifest: &Manifest, files: &host::Files) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (subos, planned) in manifest.suboses.iter().zip(&manifest.plan.suboses) {
        if subos.compare != Compare::Host {
            continue;
        }
        let expected = host::run(&planned.arguments, &subos.files, files)?;
        let printed = story.output.get(&subos.name).map_or(&[][..], Vec::as_slice);
        match host::difference(&subos.name, &expected, printed) {
            Some(difference) => wrong.push(difference),
            None => println!(
                "What {} printed, {} bytes, is byte for byte what the same program prints on the host.",
                subos.name,
                printed.len()
            ),
        }
    }
    Ok(wrong)
}
