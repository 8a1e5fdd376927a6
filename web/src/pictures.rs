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
    format: wgpu::TextureFormat,
    grid: wgpu::Buffer,
    colours: Tensor,
    /// Width and height in pixels.
    size: [u32; 2],
}

impl Painter {
    /// For canvases of `shown` fields side by side, of `nx` × `ny` cells each.
    pub(crate) fn new(open: &OpenGpu, shown: usize, nx: usize, ny: usize) -> Result<Self> {
        let (device, gpu) = (open.gpu.device(), &open.gpu);
        let module = device.create_shader_module(wgpu::include_wgsl!("pictures.wgsl"));
        // What every browser can show.
        let format = wgpu::TextureFormat::Bgra8Unorm;
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
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
        });
        let grid = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("grid"),
            size: 8,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue().write_buffer(&grid, 0, bytemuck::cast_slice(&[nx as u32, ny as u32]));
        let colours = gpu.tensor("colours", colours::COUNT)?;
        gpu.queue().write_buffer(colours.buffer(), 0, bytemuck::cast_slice(&colours::packed()));
        let size = [(shown * ny) as u32, nx as u32];
        Ok(Self { open: open.clone(), pipeline, format, grid, colours, size })
    }

    /// A canvas that shows the first of `fields`.
    pub(crate) fn picture(&self, canvas: OffscreenCanvas, fields: &Tensor) -> Result<Picture> {
        let device = self.open.gpu.device();
        let [width, height] = self.size;
        (canvas.set_width(width), canvas.set_height(height));
        let surface = self
            .open
            .instance
            .create_surface(wgpu::SurfaceTarget::OffscreenCanvas(canvas))
            .map_err(|error| Error::Device(format!("a canvas takes no WebGPU picture: {error}")))?;
        let usual = surface.get_default_config(&self.open.adapter, width, height);
        let usual = usual.ok_or_else(|| Error::Device("a canvas takes no WebGPU picture".to_owned()))?;
        surface.configure(device, &wgpu::SurfaceConfiguration { format: self.format, ..usual });
        let binding = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("pictures"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: self.grid.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: self.colours.buffer().as_entire_binding() },
                wgpu::BindGroupEntry { binding: 2, resource: fields.buffer().as_entire_binding() },
            ],
        });
        Ok(Picture { surface, binding })
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
