/// Where the entries of a compressor go, and where the projections wait that do not fill a window yet.
package enum CompressorPlace: Sendable {
    /// Rows of the latent cache behind those of single tokens.
    case latents
    /// The keys of the layer's indexer.
    case indexKeys
}
