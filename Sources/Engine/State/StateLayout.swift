/// What one layer remembers between tokens.
package enum LayerState: Sendable, Equatable {
    case none
    case attention(kvHeads: Int, keyDim: Int, valueDim: Int)
    /// A causal convolution over `convChannels` with `convTaps` taps (0 channels: none) and, per head, a matrix of
    /// keyDim × valueDim floats.
    case recurrent(convChannels: Int, convTaps: Int, heads: Int, keyDim: Int, valueDim: Int)
}

/// Why a sequence's state cannot be made.
package enum StateError: Error, Equatable, CustomStringConvertible {
    /// The cache type stores groups of `block` values, which do not divide this layer's head dimension.
    case headDimension(layer: Int, dim: Int, type: CacheType)
    case outOfMemory(bytes: Int)

    package var description: String {
        switch self {
        case .headDimension(let layer, let dim, let type):
            "cache type \(type.rawValue) needs head dimensions that are multiples of \(type.block); "
                + "layer \(layer) has \(dim)"
        case .outOfMemory(let bytes):
            "cannot get \(bytes) bytes of address space for the key/value cache and the recurrent state"
        }
    }
}

/// The state of every layer of a model, and its size.
package struct StateLayout: Sendable {
    package let layers: [LayerState]
    package let keyType: CacheType
    package let valueType: CacheType

    /// - Throws: ``StateError/headDimension(layer:dim:type:)``.
    package init(layers: [LayerState], keyType: CacheType = .f16, valueType: CacheType = .f16) throws(StateError) {
        for (index, layer) in layers.enumerated() {
            guard case .attention(_, let keyDim, let valueDim) = layer else { continue }
            for (dim, type) in [(keyDim, keyType), (valueDim, valueType)] where !dim.isMultiple(of: type.block) {
                throw .headDimension(layer: index, dim: dim, type: type)
            }
        }
        self.layers = layers
        self.keyType = keyType
        self.valueType = valueType
    }

    /// Bytes that every further token adds to the key/value cache.
    package var bytesPerToken: Int {
        layers.reduce(0) { total, layer in
            guard case .attention(let heads, let keyDim, let valueDim) = layer else { return total }
            return total + heads * (keyType.bytes(keyDim) + valueType.bytes(Self.padded(valueDim)))
        }
    }

    /// Bytes of recurrent state, whatever the number of tokens.
    package var recurrentBytes: Int {
        layers.reduce(0) { total, layer in
            guard case .recurrent(let channels, let taps, let heads, let keyDim, let valueDim) = layer else {
                return total
            }
            return total + 4 * (Self.convFloats(channels, taps) + heads * Self.headFloats(keyDim, valueDim))
        }
    }

    /// Bytes for a sequence of up to `capacity` tokens.
    package func bytes(capacity: Int) -> Int {
        Self.paddedCapacity(capacity) * bytesPerToken + recurrentBytes
    }

    /// True when a prefix of a sequence cannot be kept on its own.
    package var isRecurrent: Bool {
        layers.contains { if case .recurrent = $0 { true } else { false } }
    }

    // Values are read sixteen at a time, keys sixteen positions at a time.
    static func padded(_ dim: Int) -> Int { (dim + 15) & ~15 }
    static func paddedCapacity(_ capacity: Int) -> Int { (capacity + 15) & ~15 }
    static func convFloats(_ channels: Int, _ taps: Int) -> Int { max(taps - 1, 0) * padded(channels) }
    static func headFloats(_ keyDim: Int, _ valueDim: Int) -> Int { keyDim * padded(valueDim) }
}
