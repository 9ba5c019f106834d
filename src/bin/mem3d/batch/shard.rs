//! Shards: parts of the cases, one for each machine or task of a cluster.

use super::list::Entry;
use crate::common::output;
use std::path::{Path, PathBuf};

/// Variable in which Slurm gives the number of a task of an array.
const SLURM_TASK: &str = "SLURM_ARRAY_TASK_ID";

/// Part `number`, from 1, of `count` parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    count: usize,
}

impl Shard {
    /// `3/20`, or `slurm/20` for the number of the Slurm task.
    pub fn parse(text: &str) -> Result<Shard, String> {
        Shard::parse_with(text, std::env::var(SLURM_TASK).ok())
    }

    fn parse_with(text: &str, slurm: Option<String>) -> Result<Shard, String> {
        let form = "write K/N, the number of the shard and how many there are, for example 3/20; or slurm/N";
        let (number, count) = text.split_once('/').ok_or(form)?;
        let whole = |part: &str| part.parse::<usize>().map_err(|_| form.to_string());
        let count = whole(count)?;
        let number = match number {
            "slurm" => {
                let task = slurm.ok_or_else(|| {
                    format!("{SLURM_TASK} is not set: this is no task of an array (sbatch --array=1-{count})")
                })?;
                task.parse().map_err(|_| format!("{SLURM_TASK} is \"{task}\", not a number"))?
            }
            number => whole(number)?,
        };
        if count == 0 {
            return Err("0 shards: there is at least one".into());
        }
        if !(1..=count).contains(&number) {
            return Err(format!("there is no shard {number}: they are numbered from 1 to {count}"));
        }
        Ok(Shard { number, count })
    }

    /// Number of shards.
    pub fn count(self) -> usize {
        self.count
    }

    /// As it is written.
    pub fn word(self) -> String {
        format!("{}/{}", self.number, self.count)
    }

    /// The cases of this shard, in their order. Every N-th of the cases sorted by their outputs: the same on all
    /// machines, whatever the order in the list.
    pub fn of(self, entries: Vec<Entry>) -> Vec<Entry> {
        let mine: Vec<bool> = shards(&entries, self.count).iter().map(|shard| *shard == self).collect();
        entries.into_iter().zip(mine).filter(|(_, mine)| *mine).map(|(entry, _)| entry).collect()
    }

    /// The table of this shard's results, beside that of all: `results.shard-3-of-20.csv`.
    pub fn table(self, all: &Path) -> PathBuf {
        if output::is_stdout(all) {
            return all.to_path_buf();
        }
        let (start, end) = parts(all);
        all.with_file_name(format!("{start}{}-of-{}{end}", self.number, self.count))
    }
}

/// The shard of each case, when there are `count`.
pub fn shards(entries: &[Entry], count: usize) -> Vec<Shard> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by(|a, b| entries[*a].key.cmp(&entries[*b].key));
    let mut shards = vec![Shard { number: 1, count }; entries.len()];
    order.into_iter().enumerate().for_each(|(place, i)| shards[i].number = place % count + 1);
    shards
}

/// What the names of shards' tables have before and after their numbers.
fn parts(all: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned());
    let end = text(all.extension()).map_or(String::new(), |end| format!(".{end}"));
    (format!("{}.shard-", text(all.file_stem()).unwrap_or_default()), end)
}

/// The shards that have a table beside that of all, with their tables, by name.
pub fn tables(all: &Path) -> Vec<(Shard, PathBuf)> {
    let (start, end) = parts(all);
    let shard = |name: &str| {
        let (number, count) = name.strip_prefix(&start)?.strip_suffix(&end)?.split_once("-of-")?;
        Shard::parse_with(&format!("{number}/{count}"), None).ok()
    };
    let folder = all.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut tables: Vec<_> =
        files.filter_map(|f| Some((shard(f.file_name().to_str()?)?, all.with_file_name(f.file_name())))).collect();
    tables.sort_by(|a, b| a.1.cmp(&b.1));
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: usize) -> Vec<Entry> {
        let entry = |n: usize| Entry {
            // No order by name.
            key: format!("{:03}.nii", n * 37 % 101),
            volume_name: String::new(),
            volume: PathBuf::new(),
            interactions: vec![],
            output: PathBuf::new(),
        };
        (0..count).map(entry).collect()
    }

    #[test]
    fn every_case_is_in_one_shard() {
        for (cases, count) in [(100, 20), (5, 20), (7, 3), (1, 1), (0, 4)] {
            let shards: Vec<Vec<Entry>> =
                (1..=count).map(|number| Shard { number, count }.of(entries(cases))).collect();
            let mut keys: Vec<String> = shards.iter().flatten().map(|e| e.key.clone()).collect();
            keys.sort();
            let mut all: Vec<String> = entries(cases).into_iter().map(|e| e.key).collect();
            all.sort();
            assert_eq!(keys, all, "{cases} cases in {count} shards");
            let sizes = shards.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
    }

    #[test]
    fn the_division_does_not_depend_on_the_order_of_the_list() {
        let keys = |mut cases: Vec<Entry>, turned: bool| {
            if turned {
                cases.reverse();
            }
            let mut keys: Vec<String> = Shard { number: 5, count: 20 }.of(cases).into_iter().map(|e| e.key).collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(entries(90), false), keys(entries(90), true));
        assert_eq!(keys(entries(90), false).len(), 5);
    }

    #[test]
    fn numbers_outside_and_missing_variables_are_refused() {
        let parse = |text: &str| Shard::parse_with(text, Some("7".into()));
        assert_eq!(parse("3/20").unwrap(), Shard { number: 3, count: 20 });
        assert_eq!(parse("slurm/20").unwrap().word(), "7/20");
        assert!(parse("slurm/6").unwrap_err().contains("no shard 7: they are numbered from 1 to 6"));
        for (text, expected) in
            [("0/3", "from 1 to 3"), ("4/3", "from 1 to 3"), ("1/0", "at least one"), ("a/b", "K/N"), ("3", "K/N")]
        {
            assert!(parse(text).unwrap_err().contains(expected), "{text}");
        }
        assert!(Shard::parse_with("slurm/9", None).unwrap_err().contains("SLURM_ARRAY_TASK_ID is not set"));
        assert!(Shard::parse_with("slurm/9", Some("x".into())).unwrap_err().contains("not a number"));
    }

    #[test]
    fn tables_lie_beside_that_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let all = folder.path().join("my.results.csv");
        let table = Shard { number: 3, count: 20 }.table(&all);
        assert_eq!(table, folder.path().join("my.results.shard-3-of-20.csv"));
        for name in ["my.results.csv", "my.results.shard-x-of-3.csv", "results.shard-1-of-3.csv"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::write(&table, "").unwrap();
        assert_eq!(tables(&all), [(Shard { number: 3, count: 20 }, table)]);
        assert_eq!(Shard { number: 1, count: 2 }.table(Path::new("-")), Path::new("-"));
    }
}
