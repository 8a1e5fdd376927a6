//! Canvases that show fields straight from the device's memory.

use crate::colours;
use crate::device::OpenGpu;
use unheat::gpu::Tensor;
use unheat::{Error, Result};
use web_sys::OffscreenCanvas;

/// One canvas and what it shows.
pub(crate) struct Picture {
    surface: wgpu::Surface<'static>,
    binding: wgpu::BindGroup,
}

/// What all canvases share.
pub(crate) struct Painter {
    open: OpenGpu,
    pipeline: wgpu::RenderPipeline,
}

impl Painter {
    /// For canvases of `shown` fields side by side, of `nx` × `ny` cells each, with the tensors that they
    /// show.
    pub(crate) fn new(
        open: &OpenGpu,
        shown: usize,
        nx: usize,
        ny: usize,
        targets: Vec<(OffscreenCanvas, &Tensor)>,
    ) -> Result<(Self, Vec<Picture>)> {
        let (device, gpu) = (open.gpu.device(), &open.gpu);
        let [width, height] = [(shown * ny) as u32, nx as u32];
        // What the device prefers to show; another format would be copied once more.
        let (mut format, mut surfaces) = (wgpu::TextureFormat::Bgra8Unorm, Vec::new());
        for (canvas, fields) in targets {
            (canvas.set_width(width), canvas.set_height(height));
            let target = wgpu::SurfaceTarget::OffscreenCanvas(canvas);
            let refused = |why: String| Error::Device(format!("a canvas takes no WebGPU picture{why}"));
            let surface = open.instance.create_surface(target).map_err(|e| refused(format!(": {e}")))?;
            let usual = surface.get_default_config(&open.adapter, width, height);
            let usual = usual.ok_or_else(|| refused(String::new()))?;
            format = usual.format;
            surface.configure(device, &usual);
            surfaces.push((surface, fields));
        }
        let pipeline = pipeline(device, format);
        let grid = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("grid"),
            size: 16,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let numbers = [nx as u32, ny as u32, colours::HOTTEST.to_bits()];
        gpu.queue().write_buffer(&grid, 0, bytemuck::cast_slice(&numbers));
        let colours = gpu.tensor("colours", colours::COUNT)?;
        gpu.queue().write_buffer(colours.buffer(), 0, bytemuck::cast_slice(&colours::packed()));
        let picture = |(surface, fields): (wgpu::Surface<'static>, &Tensor)| {
            let binding = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("pictures"),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: grid.as_entire_binding() },
                    wgpu::BindGroupEntry { binding: 1, resource: colours.buffer().as_entire_binding() },
                    wgpu::BindGroupEntry { binding: 2, resource: fields.buffer().as_entire_binding() },
                ],
            });
            Picture { surface, binding }
        };
        let pictures = surfaces.into_iter().map(picture).collect();
        Ok((Self { open: open.clone(), pipeline }, pictures))
    }

    /// Draws `pictures` anew, in one submission. A canvas that cannot be drawn on at the moment is left as it
    /// is.
    pub(crate) fn draw(&self, pictures: &[Picture]) {
        let gpu = &self.open.gpu;
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut drawn = Vec::new();
        for Picture { surface, binding } in pictures {
            let target = match surface.get_current_texture() {
                wgpu::CurrentSurfaceTexture::Success(target)
                | wgpu::CurrentSurfaceTexture::Suboptimal(target) => target,
                _ => continue,
            };
            let view = target.texture.create_view(&Default::default());
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("pictures"),
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: &view,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations {
                        load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                        store: wgpu::StoreOp::Store,
                    },
                })],
                ..Default::default()
            });
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, binding, &[]);
            pass.draw(0..3, 0..1);
            drop(pass);
            drawn.push(target);
        }
        gpu.queue().submit([encoder.finish()]);
        drawn.into_iter().for_each(|target| gpu.queue().present(target));
    }
}

fn pipeline(device: &wgpu::Device, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::include_wgsl!("pictures.wgsl"));
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("pictures"),
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("corner"),
            compilation_options: Default::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("cell"),
            compilation_options: Default::default(),
            targets: &[Some(format.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}
