import GGUF

/// Which layers of a family see a sliding window only, where its files do not say.
package enum WindowPattern {
    case all
    /// Every so many layers, counted from one, the last sees everything.
    case period(Int)
    /// Files must say.
    case stated
}

extension Hyperparameters {
    /// How many keys each block sees from a query, that itself included; nil: all. Prediction layers come last.
    ///
    /// `attention.sliding_window` is the size; absent and 0 mean that there are no windows.
    /// `attention.sliding_window_pattern` holds a flag for each layer, or a period.
    /// - Parameters:
    ///   - pattern: that of files without one.
    ///   - required: the size must be there.
    ///   - fullFirst: of every period the first layer sees everything, not the last.
    package func windows(
        _ shape: DecoderShape, pattern fallback: WindowPattern = .stated, required: Bool = false,
        fullFirst: Bool = false
    ) throws(EngineError) -> [Int?] {
        let blocks = shape.layers + shape.nextTokenLayers
        let size = try int(
            "attention.sliding_window", in: (required ? 1 : 0)...(1 << 31), default: required ? nil : 0)
        let key = "attention.sliding_window_pattern"
        let flags: [Bool]
        if metadata["\(architecture).\(key)"]?.array == nil, let period = try optionalInt(key, in: 0...1024) {
            flags = Self.windowed(blocks, period: period, fullFirst: fullFirst)
        } else if let listed = try optionalBools(key, count: blocks) {
            flags = listed
        } else {
            switch fallback {
            case .all: flags = [Bool](repeating: true, count: blocks)
            case .period(let period): flags = Self.windowed(blocks, period: period, fullFirst: fullFirst)
            case .stated where size == 0: flags = [Bool](repeating: false, count: blocks)
            case .stated: flags = try bools(key, count: blocks)
            }
        }
        return flags.map { $0 && size > 0 ? size : nil }
    }

    /// A period of 0 gives every layer a window, of 1 none.
    private static func windowed(_ blocks: Int, period: Int, fullFirst: Bool) -> [Bool] {
        (0..<blocks).map { period == 0 || !($0 + (fullFirst ? 0 : 1)).isMultiple(of: period) }
    }

    /// Where the base of the rotation of layers with a window is, if the file has one of their own.
    package var slidingBaseKey: String? {
        metadata["\(architecture).rope.freq_base_swa"] == nil ? nil : "rope.freq_base_swa"
    }
}
