//! What the machine is and what a process has used of it, from `/proc`.

use std::{fs, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

/// Ticks a second in which Linux tells CPU time to programs, whatever its own clock.
const TICKS_PER_SECOND: u64 = 100;

/// The machine.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Machine {
    /// Logical cores.
    pub(super) cores: usize,
    /// Memory, MiB.
    pub(super) memory_mib: u64,
    /// The processor's name.
    pub(super) processor: String,
    /// Operating system and its version.
    pub(super) system: String,
}

impl Machine {
    pub(super) fn look() -> anyhow::Result<Self> {
        let read = |path: &str| {
            fs::read_to_string(path).with_context(|| format!("{path} is needed to measure"))
        };
        let field = |text: &str, name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo")?, "MemTotal").unwrap_or_default();
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib / 1024,
            processor: field(&read("/proc/cpuinfo")?, "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            system: format!("Linux {}", read("/proc/sys/kernel/osrelease")?.trim()),
        })
    }

    /// Told in one line.
    pub(super) fn describe(&self) -> String {
        format!(
            "{} cores of {}, {:.1} GiB, {}",
            self.cores,
            self.processor,
            self.memory_mib as f64 / 1024.0,
            self.system
        )
    }
}

/// CPU time that a process has used by itself so far, in user and kernel mode.
pub(super) fn cpu_time(process: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    // The second field is a name in parentheses, which may hold anything.
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut ticks = || {
        let field = fields.next().and_then(|text| text.parse::<u64>().ok());
        field.with_context(|| format!("{path} is not as Linux writes it"))
    };
    let ticks = ticks()? + ticks()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// What the processes of a database server are called.
const DATABASE: &str = "postgres";

/// CPU time that database servers of this machine have used so far. Less than before if one of them
/// has ended since.
pub(super) fn cpu_time_of_databases() -> anyhow::Result<Duration> {
    let processes = databases()?.into_iter();
    // One that ended between the two looks used next to nothing.
    Ok(processes
        .map(|process| cpu_time(process).unwrap_or_default())
        .sum())
}

/// Bytes that a process, and the database servers of this machine, have had written to disks.
pub(super) fn written_bytes(process: u32) -> anyhow::Result<u64> {
    let written = |process: u32| {
        let text = fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
        let field = text
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes:"));
        field.and_then(|bytes| bytes.trim().parse::<u64>().ok())
    };
    let own = written(process).context("/proc does not tell what was written")?;
    // Those of other users are told to root alone.
    Ok(own + databases()?.into_iter().filter_map(written).sum::<u64>())
}

fn databases() -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("/proc is needed to measure")? {
        let process = entry?.file_name();
        let Some(process) = process.to_str().and_then(|text| text.parse::<u32>().ok()) else {
            continue;
        };
        let comm = fs::read_to_string(format!("/proc/{process}/comm"));
        if comm.is_ok_and(|comm| comm.trim_end() == DATABASE) {
            found.push(process);
        }
    }
    Ok(found)
}

/// Memory of this process that is resident, bytes.
pub(super) fn resident_bytes() -> anyhow::Result<u64> {
    // The field of statm is in pages, whose size only the C library tells; status has kilobytes.
    let path = "/proc/self/status";
    let text = fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .with_context(|| format!("{path} is not as Linux writes it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        assert!(Machine::look().unwrap().cores > 0);
        assert!(resident_bytes().unwrap() > 100_000);
        let before = cpu_time(std::process::id()).unwrap();
        let mut number = 1_u64;
        while cpu_time(std::process::id()).unwrap() - before < Duration::from_millis(20) {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(number > 0);
    }
}
