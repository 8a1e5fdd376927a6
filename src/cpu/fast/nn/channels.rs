//! How many channels lie side by side in memory, and where.

/// The channels of an array are a multiple of this; those that are added are only room.
pub(crate) const LANES: usize = 8;

/// Channels that an array of so many has room for. The single channel of a field stays alone.
pub(crate) fn stored(channels: usize) -> usize {
    if channels == 1 { 1 } else { channels.next_multiple_of(LANES) }
}

/// The channels of one array, or of two side by side, such as those of a skip connection and of what is
/// upsampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    first: usize,
    second: usize,
}

impl Channels {
    /// Those of one array.
    pub(crate) fn one(channels: usize) -> Self {
        Self { first: channels, second: 0 }
    }

    /// Those of two arrays side by side.
    pub(crate) fn two(first: usize, second: usize) -> Self {
        Self { first, second }
    }

    /// How many there are.
    pub(crate) fn count(self) -> usize {
        self.first + self.second
    }

    /// How many there is room for.
    pub(crate) fn stored(self) -> usize {
        stored(self.first) + if self.second == 0 { 0 } else { stored(self.second) }
    }

    /// Where channel `c` lies.
    pub(crate) fn at(self, c: usize) -> usize {
        if c < self.first { c } else { stored(self.first) + c - self.first }
    }
}

/// The cells of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) nx: usize,
    pub(crate) ny: usize,
}

impl Grid {
    pub(crate) fn cells(self) -> usize {
        self.nx * self.ny
    }

    /// The grid of the next coarser level.
    pub(crate) fn half(self) -> Self {
        Self { nx: self.nx / 2, ny: self.ny / 2 }
    }
}

/// The cells of a sample in an array that has more channels or borders around them: rows lie `row` floats
/// apart, cells `cell` floats.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row: usize,
    pub(crate) cell: usize,
}

/// The same, to write to.
pub(crate) struct ViewMut<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) row: usize,
    pub(crate) cell: usize,
}

/// All of an array `[nx, ny, channels]`.
pub(crate) fn whole(values: &[f32], grid: Grid, channels: usize) -> View<'_> {
    View { values, row: grid.ny * channels, cell: channels }
}

/// The same, to write to.
pub(crate) fn whole_mut(values: &mut [f32], grid: Grid, channels: usize) -> ViewMut<'_> {
    ViewMut { values, row: grid.ny * channels, cell: channels }
}
