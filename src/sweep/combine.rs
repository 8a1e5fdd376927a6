//! From the values of every setting to those of every run.

use crate::model::rng::{Purpose, Random};
use crate::sweep::values::Values;
use std::collections::HashSet;

/// A setting and what it takes.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name, as files have it.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// How the values of several settings become runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Every value with every other.
    Product,
    /// The first values of all lists, the second ones, and so on; single values go with all of them.
    Zip,
    /// So many draws, one value of every list and every range, each with all seeds.
    Random {
        /// Draws.
        count: usize,
        /// Other seeds draw others.
        seed: u64,
    },
}

/// The setting whose values are repetitions of one experiment.
pub const SEED: &str = "seed";

/// More runs than one table can show.
const MOST: usize = 10_000;

/// The texts of a run's settings, by name.
pub type Choice = Vec<(String, String)>;

/// The runs, in the order of the settings: the last one changes fastest, and seeds after all.
///
/// # Errors
/// What is wrong with a range, or with lists that do not go together; it begins with the setting's name.
pub fn combine(settings: &[Setting], way: Way) -> Result<Vec<Choice>, String> {
    let of_setting = |setting: &Setting| match way {
        Way::Random { .. } if setting.name != SEED => Ok(Vec::new()), // drawn below
        _ => setting.values.listed().map_err(|what| format!("{}: {what}", flag(&setting.name))),
    };
    let lists: Vec<Vec<String>> = settings.iter().map(of_setting).collect::<Result<_, _>>()?;
    match way {
        Way::Product => product(settings, &lists),
        Way::Zip => zip(settings, &lists),
        Way::Random { count, seed } => random(settings, &lists, count, seed),
    }
}

fn flag(name: &str) -> String {
    name.replace('_', "-")
}

/// Refuses more runs than can be meant.
fn check(count: usize) -> Result<(), String> {
    match count {
        ..=MOST => Ok(()),
        _ => Err(format!(
            "these are more than {MOST} runs; leave some values out, or draw some with --random N"
        )),
    }
}

fn named(settings: &[Setting], values: impl Iterator<Item = String>) -> Choice {
    settings.iter().map(|setting| setting.name.clone()).zip(values).collect()
}

fn product(settings: &[Setting], lists: &[Vec<String>]) -> Result<Vec<Choice>, String> {
    check(lists.iter().fold(1, |count: usize, list| count.saturating_mul(list.len())))?;
    let mut rows: Vec<Vec<String>> = vec![Vec::new()];
    for list in lists {
        let longer = |row: &Vec<String>, value: &String| row.iter().chain([value]).cloned().collect();
        rows = rows.iter().flat_map(|row| list.iter().map(move |value| longer(row, value))).collect();
    }
    Ok(rows.into_iter().map(|row| named(settings, row.into_iter())).collect())
}

fn zip(settings: &[Setting], lists: &[Vec<String>]) -> Result<Vec<Choice>, String> {
    let count = lists.iter().map(Vec::len).max().unwrap_or(1);
    check(count)?;
    let longest = settings.iter().zip(lists).find(|(_, list)| list.len() == count);
    for (setting, list) in settings.iter().zip(lists) {
        if let (Some((other, _)), false) = (longest, [1, count].contains(&list.len())) {
            let (name, other, own) = (flag(&setting.name), flag(&other.name), list.len());
            return Err(format!(
                "{name}: has {own} values and {other} {count}; --zip needs as many of each, or a single one"
            ));
        }
    }
    let row = |i: usize| lists.iter().map(move |list| list[i % list.len()].clone());
    Ok((0..count).map(|i| named(settings, row(i))).collect())
}

/// Draws that are equal to an earlier one are drawn again, as long as there are likely to be others.
fn random(
    settings: &[Setting],
    lists: &[Vec<String>],
    count: usize,
    seed: u64,
) -> Result<Vec<Choice>, String> {
    let seeds = settings.iter().zip(lists).find(|(setting, _)| setting.name == SEED);
    let seeds = seeds.map_or(1, |(_, list)| list.len());
    check(count.saturating_mul(seeds))?;
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    for draw in 0..100 * count as u64 {
        let mut values = Vec::new();
        for (place, setting) in settings.iter().enumerate() {
            // Of its own stream, so that another setting beside it changes nothing.
            let mut random = Random::new(Purpose::Sweep, seed, draw, place as u64);
            values.push(if setting.name == SEED { String::new() } else { setting.values.draw(&mut random) });
        }
        if seen.insert(values.clone()) {
            rows.push(values);
        }
        if rows.len() == count {
            break;
        }
    }
    let with_seed = |row: &[String], i: usize| -> Choice {
        let values = settings.iter().zip(lists).zip(row);
        let value = |((setting, list), drawn): ((&Setting, &Vec<String>), &String)| match setting.name == SEED
        {
            true => list[i].clone(),
            false => drawn.clone(),
        };
        named(settings, values.map(value).collect::<Vec<_>>().into_iter())
    };
    Ok(rows.iter().flat_map(|row| (0..seeds).map(move |i| with_seed(row, i))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(all: &[(&str, &str)]) -> Vec<Setting> {
        let real = |text: &str| text.parse::<f64>().is_ok();
        let setting = |&(name, text): &(&str, &str)| Setting {
            name: name.to_owned(),
            values: Values::parse(text, &real).unwrap(),
        };
        all.iter().map(setting).collect()
    }

    fn rows(all: &[(&str, &str)], way: Way) -> Vec<String> {
        let rows = combine(&settings(all), way).unwrap();
        rows.iter().map(|row| row.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_product_holds_everything_and_the_last_changes_fastest() {
        assert_eq!(rows(&[("lr", "1,2"), ("seed", "3,4")], Way::Product), ["1 3", "1 4", "2 3", "2 4"]);
        assert_eq!(rows(&[], Way::Product), [""]);
        let too_many = [("a", "1..2:500"), ("b", "1..2:500")];
        assert!(combine(&settings(&too_many), Way::Product).unwrap_err().contains("more than 10000 runs"));
    }

    #[test]
    fn lists_of_one_length_go_side_by_side() {
        assert_eq!(rows(&[("lr", "1,2"), ("batch", "8"), ("seed", "3,4")], Way::Zip), ["1 8 3", "2 8 4"]);
        let said = combine(&settings(&[("lr", "1,2"), ("noise", "1,2,3")]), Way::Zip).unwrap_err();
        assert!(said.starts_with("lr: has 2 values and noise 3"), "{said}");
    }

    #[test]
    fn draws_are_the_same_again_and_meet_every_seed() {
        let way = |seed| Way::Random { count: 5, seed };
        let all = [("lr", "1e-4..1e-2:log"), ("filters", "8,16"), ("seed", "0,1,2")];
        let drawn = combine(&settings(&all), way(0)).unwrap();
        assert_eq!(drawn.len(), 15);
        assert_eq!(drawn, combine(&settings(&all), way(0)).unwrap());
        assert_ne!(drawn, combine(&settings(&all), way(1)).unwrap());
        for three in drawn.chunks(3) {
            assert!(three.iter().all(|run| run[..2] == three[0][..2]));
            assert_eq!(three.iter().map(|run| run[2].1.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);
        }
        assert_eq!(rows(&[("filters", "8,16")], way(0)).len(), 2, "there are no more than two");
    }
}
