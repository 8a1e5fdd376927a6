//! A step whose micro-batches several processes compute.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::submission::Submission;
use crate::gpu::step::Step;
use crate::model::Batch;

impl Step {
    /// Computes a micro-batch and updates nothing; `is_first` of the step on this device. What is returned is
    /// for [`Step::take_over`].
    pub async fn compute(&mut self, part: &Batch, is_first: bool) -> Result<Vec<f32>> {
        self.arrays.first().data.upload(&self.gpu, part)?;
        let mut work = Submission::new(&self.gpu, &mut self.pace);
        self.recordings.compute(&mut work, &part.truth, is_first);
        work.submit();
        Ok(self.gpu.fetch_all(self.arrays.first().share()).await?.concat())
    }

    /// Numbers that [`Step::compute`] returns.
    pub fn share_len(&self) -> usize {
        self.arrays.first().share().map(Tensor::len).into_iter().sum()
    }

    /// Takes over a micro-batch, whichever device has computed it. They come in their order; the first of a
    /// step begins its sums, and the last one ends it with the update.
    pub async fn take_over(&mut self, share: &[f32], is_first: bool, is_last: bool) -> Result<()> {
        self.make_room().await?;
        let mut rest = share;
        for tensor in self.arrays.first().share() {
            let own;
            (own, rest) = rest.split_at(tensor.len());
            self.gpu.write(tensor, own);
        }
        self.submit_part(None, is_first, is_last)
    }
}
