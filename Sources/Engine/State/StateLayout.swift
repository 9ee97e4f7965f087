import CKernels

/// What one layer remembers between tokens.
package enum LayerState: Sendable, Equatable {
    case none
    /// - Parameter window: positions visible from a token, itself included; nil: all before it. A layer with a
    ///   window keeps no more than that and the tokens of one pass.
    case attention(kvHeads: Int, keyDim: Int, valueDim: Int, window: Int? = nil)
    /// A causal convolution over `convChannels` with `convTaps` taps (0 channels: none) and, per head, a matrix of
    /// keyDim × valueDim floats.
    case recurrent(convChannels: Int, convTaps: Int, heads: Int, keyDim: Int, valueDim: Int)
    /// One latent of `dim` values, key and value of all heads, and `tail` further key values; beside them the key of
    /// an indexer (0: none). Kept in the key's cache type.
    case latent(dim: Int, tail: Int, indexKeyDim: Int = 0)
    /// A latent without tail, one compressed latent for every `ratio` tokens (0: none) and with it the key of an
    /// indexer (0: none). The projections of up to 2 · `ratio` tokens wait for the next entry: `channels` for the
    /// latents, `indexChannels` for the keys. Latents that no window shows any more are kept, so that a restored
    /// state finds its own.
    case compressed(dim: Int, ratio: Int, channels: Int, indexKeyDim: Int, indexChannels: Int)

    /// Keys and values, as the lengths that the cache type must be able to hold.
    fileprivate var cachedDims: (keys: [Int], values: [Int]) {
        switch self {
        case .none, .recurrent: ([], [])
        case .attention(_, let keyDim, let valueDim, _): ([keyDim], [valueDim])
        case .latent(let dim, let tail, let indexKeyDim): ([dim, StateLayout.padded(tail), indexKeyDim], [])
        case .compressed(let dim, _, _, let indexKeyDim, _): ([dim, indexKeyDim], [])
        }
    }
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
    /// The most tokens of a sequence in one pass, if a layer has a window.
    package let batchSize: Int

    /// - Throws: ``StateError/headDimension(layer:dim:type:)``.
    package init(
        layers: [LayerState], keyType: CacheType = .f16, valueType: CacheType = .f16, batchSize: Int = 512
    ) throws(StateError) {
        for (index, layer) in layers.enumerated() {
            let dims = layer.cachedDims
            for (dims, type) in [(dims.keys, keyType), (dims.values, valueType)] {
                for dim in dims where !dim.isMultiple(of: type.block) {
                    throw .headDimension(layer: index, dim: dim, type: type)
                }
            }
        }
        self.layers = layers
        self.keyType = keyType
        self.valueType = valueType
        self.batchSize = batchSize
    }

    /// Bytes that every further token adds to the key/value cache, beyond the windows of layers that have one.
    package var bytesPerToken: Int {
        layers.reduce(0) { total, layer in
            if case .attention(_, _, _, .some) = layer { return total }
            return total + bytesPerPosition(layer)
        }
    }

    /// Bytes that the layers with a window keep, once a sequence is longer than that.
    package var windowBytes: Int {
        layers.reduce(0) { total, layer in
            guard case .attention(_, _, _, .some) = layer else { return total }
            return total + positions(layer, capacity: .max) * bytesPerPosition(layer)
        }
    }

    /// True when a layer forgets what lies behind its window.
    package var hasWindows: Bool { windowBytes > 0 }

    /// Key and value of one position, all heads.
    func bytesPerPosition(_ layer: LayerState) -> Int {
        switch layer {
        case .none, .recurrent:
            0
        case .attention(let heads, let keyDim, let valueDim, _):
            heads * (keyType.keyBytes(keyDim) + valueType.valueBytes(Self.padded(valueDim)))
        case .latent(let dim, let tail, let indexKeyDim):
            latentRowBytes(dim, tail) + keyType.bytes(indexKeyDim)
        case .compressed(let dim, let ratio, _, _, _):
            latentRowBytes(dim, 0) + (ratio == 0 ? 0 : (bytesPerEntry(layer) + ratio - 1) / ratio)
        }
    }

    /// A compressed latent and its index key.
    func bytesPerEntry(_ layer: LayerState) -> Int {
        guard case .compressed(let dim, let ratio, _, let indexKeyDim, _) = layer, ratio > 0 else { return 0 }
        return latentRowBytes(dim, 0) + keyType.bytes(indexKeyDim)
    }

    /// Where compressed latents begin, behind those of single tokens.
    func entryBase(capacity: Int) -> Int { Self.paddedCapacity(capacity) }
    static func entries(capacity: Int, ratio: Int) -> Int { ratio == 0 ? 0 : paddedCapacity(capacity / ratio) }

    /// One position of a layer that keeps latents.
    func latentRowBytes(_ dim: Int, _ tail: Int) -> Int { keyType.bytes(dim) + keyType.bytes(Self.padded(tail)) }

    /// Positions that an attention layer keeps of a sequence of up to `capacity` tokens.
    ///
    /// A window needs the positions before a pass's first token besides those of the pass, in whole blocks because
    /// attention works on blocks; position p then takes the place of p − that number.
    func positions(_ layer: LayerState, capacity: Int) -> Int {
        let all = capacity < .max - 16 ? Self.paddedCapacity(capacity) : capacity
        guard case .attention(_, _, _, let window?) = layer, window < 1 << 26 else { return all }
        let block = Int(CK_ATTENTION_BLOCK)
        return min(all, (window + batchSize + block - 1) / block * block)
    }

    /// True if a sequence of `capacity` tokens has more positions than the layer keeps.
    func forgets(_ layer: LayerState, capacity: Int) -> Bool {
        guard case .attention(_, _, _, .some) = layer else { return false }
        return positions(layer, capacity: capacity) < Self.paddedCapacity(capacity)
    }

    /// Bytes of the caches of layers that forget.
    func forgetfulBytes(capacity: Int) -> Int {
        layers.reduce(0) { total, layer in
            guard forgets(layer, capacity: capacity) else { return total }
            return total + positions(layer, capacity: capacity) * bytesPerPosition(layer)
        }
    }

    /// Bytes of the key/value cache of a sequence of up to `capacity` tokens; a number that cannot overflow.
    func cacheBytes(capacity: Int) -> Double {
        layers.reduce(0) { total, layer in
            total + Double(positions(layer, capacity: capacity)) * Double(bytesPerPosition(layer))
                + Double(16 * bytesPerEntry(layer))
        }
    }

    /// Bytes of recurrent state, whatever the number of tokens.
    package var recurrentBytes: Int {
        layers.reduce(0) { total, layer in
            switch layer {
            case .none, .attention, .latent:
                total
            case .recurrent(let channels, let taps, let heads, let keyDim, let valueDim):
                total + 4 * (Self.convFloats(channels, taps) + heads * Self.headFloats(keyDim, valueDim))
            case .compressed(_, let ratio, let channels, _, let indexChannels):
                total + 4 * 2 * ratio * (Self.padded(2 * channels) + Self.padded(2 * indexChannels))
            }
        }
    }

    /// Bytes for a sequence of up to `capacity` tokens.
    package func bytes(capacity: Int) -> Int {
        let bytes = cacheBytes(capacity: capacity) + Double(recurrentBytes)
        return bytes < 0x1p62 ? Int(bytes) : Int.max
    }

    /// True when a prefix of a sequence cannot be kept on its own.
    package var isRecurrent: Bool {
        layers.contains { layer in
            switch layer {
            case .none, .attention, .latent: false
            case .recurrent: true
            case .compressed(_, let ratio, _, _, _): ratio > 0
            }
        }
    }

    // Values are read sixteen at a time, keys sixteen positions at a time.
    static func padded(_ dim: Int) -> Int { (dim + 15) & ~15 }
    static func paddedCapacity(_ capacity: Int) -> Int { (capacity + 15) & ~15 }
    static func convFloats(_ channels: Int, _ taps: Int) -> Int { max(taps - 1, 0) * padded(channels) }
    static func headFloats(_ keyDim: Int, _ valueDim: Int) -> Int { keyDim * padded(valueDim) }
}
