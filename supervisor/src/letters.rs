//! Dead letters: taken from the broker, kept, and sent again.

mod collector;
mod crashes;
mod letter;
mod neighbour;
mod replay;

pub(crate) use self::collector::Collector;
pub(crate) use self::crashes::Crashes;
pub(crate) use self::letter::{Fate, Filter, Letter, pack, unpack};
pub(crate) use self::neighbour::Neighbour;
pub(crate) use self::replay::{Edit, Unfit, replay};
