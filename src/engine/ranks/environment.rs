//! What mpirun, mpiexec or srun tell the processes that they start together, in their environment.

use std::ffi::OsStr;
use std::thread::available_parallelism;

/// What launchers tell: a process's rank, how many there are, its rank on its machine, and how many are
/// there.
const TOLD: [[&str; 4]; 3] = [
    // Open MPI.
    [
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ],
    // MPICH, Intel MPI.
    ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"],
    // Slurm without an MPI that says more.
    ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"],
];

/// Beginnings of names that launchers use between themselves and their processes.
const PRIVATE: [&str; 4] = ["OMPI_", "PMI_", "PMIX_", "PRTE_"];

/// One of several processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Counted from 0.
    pub number: usize,
    /// Processes in all.
    pub count: usize,
    /// Counted from 0 on its machine.
    pub local: usize,
    /// Processes on its machine.
    pub local_count: usize,
}

impl Rank {
    /// This process's; none where it was started alone.
    pub fn of_environment() -> Option<Self> {
        Self::told(|name| std::env::var(name).ok())
    }

    fn told(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        // Slurm writes 4(x2) for two machines with four.
        let digits = |text: String| -> Option<usize> {
            text.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
        };
        let number = |name: &str| variable(name).and_then(digits);
        let rank = |[rank, count, local, local_count]: &[&str; 4]| {
            let (rank, count) = (number(rank)?, number(count)?);
            let (local, local_count) = (number(local).unwrap_or(rank), number(local_count).unwrap_or(count));
            Some(Self { number: rank, count, local, local_count: local_count.max(1) })
        };
        TOLD.iter().find_map(rank).filter(|rank| rank.count > 1)
    }

    /// The cores that are this process's share; none: those that the launcher has bound it to.
    pub fn threads(&self) -> Option<usize> {
        let granted = available_parallelism().map_or(1, usize::from);
        let mut system = sysinfo::System::new();
        system.refresh_cpu_list(sysinfo::CpuRefreshKind::nothing());
        (granted >= system.cpus().len()).then_some((granted / self.local_count).max(1))
    }
}

/// Whether a variable is for a process that mpirun starts itself.
pub fn is_told_by_launcher(name: &OsStr) -> bool {
    let is_private = |name: &str| PRIVATE.iter().any(|private| name.starts_with(private));
    name.to_str().is_some_and(|name| is_private(name) || TOLD.as_flattened().contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_launcher_is_understood() {
        let told = |variables: &[(&str, &str)]| {
            Rank::told(|name| {
                let found = variables.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let rank = |number, count, local, local_count| Some(Rank { number, count, local, local_count });
        let open_mpi = [
            ("OMPI_COMM_WORLD_RANK", "5"),
            ("OMPI_COMM_WORLD_SIZE", "8"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "4"),
        ];
        assert_eq!(told(&open_mpi), rank(5, 8, 1, 4));
        assert_eq!(told(&[("PMI_RANK", "1"), ("PMI_SIZE", "2")]), rank(1, 2, 1, 2));
        let slurm = [
            ("SLURM_PROCID", "3"),
            ("SLURM_STEP_NUM_TASKS", "8"),
            ("SLURM_LOCALID", "3"),
            ("SLURM_STEP_TASKS_PER_NODE", "4(x2)"),
        ];
        assert_eq!(told(&slurm), rank(3, 8, 3, 4));
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("PMI_RANK", "0"), ("PMI_SIZE", "1")]), None, "one process is alone");
        assert!(["PMIX_RANK", "SLURM_PROCID"].iter().all(|name| is_told_by_launcher(OsStr::new(name))));
        assert!(!is_told_by_launcher(OsStr::new("SLURM_JOB_ID")) && !is_told_by_launcher(OsStr::new("PATH")));
    }
}
