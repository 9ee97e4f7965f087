package import GGUF

/// Small GGUF files made in memory.
///
///     var toy = ToyFile(architecture: "llama")
///     toy["llama.block_count"] = .uint32(1)
///     toy.random("output_norm.weight", [64])
///     let file = try toy.file()
package struct ToyFile {
    package var metadata: [(String, GGUFValue)]
    package private(set) var tensors: [(name: String, dimensions: [Int], type: GGUFTensorType, data: [UInt8])] = []
    private var random: SeededRandom

    package init(architecture: String? = nil, seed: UInt64 = 1) {
        metadata = architecture.map { [("general.architecture", .string($0))] } ?? []
        random = SeededRandom(seed: seed)
    }

    /// Replaces or appends a key; nil removes it.
    package subscript(key: String) -> GGUFValue? {
        get { metadata.first { $0.0 == key }?.1 }
        set {
            let position = metadata.firstIndex { $0.0 == key }
            switch (position, newValue) {
            case (let position?, let value?): metadata[position].1 = value
            case (let position?, nil): metadata.remove(at: position)
            case (nil, let value?): metadata.append((key, value))
            case (nil, nil): break
            }
        }
    }

    /// Adds a tensor of the given bytes; one of the same name is replaced.
    package mutating func tensor(_ name: String, _ dimensions: [Int], _ type: GGUFTensorType, _ data: [UInt8]) {
        remove(name)
        tensors.append((name, dimensions, type, data))
    }

    /// Adds an F32 tensor.
    package mutating func floats(_ name: String, _ dimensions: [Int], _ values: [Float]) {
        tensor(name, dimensions, .f32, values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) })
    }

    /// Adds an F32 tensor of random values within ±`scale`, the same on every run.
    package mutating func random(_ name: String, _ dimensions: [Int], scale: Float = 0.1) {
        floats(name, dimensions, random.floats(dimensions.reduce(1, *), scale: scale))
    }

    package mutating func remove(_ name: String) { tensors.removeAll { $0.name == name } }

    package func writer() throws -> GGUFWriter {
        var writer = GGUFWriter(metadata: metadata)
        for tensor in tensors {
            try writer.add(tensor: tensor.name, dimensions: tensor.dimensions, type: tensor.type, data: tensor.data)
        }
        return writer
    }

    /// The file's bytes.
    package func bytes() throws -> [UInt8] { try writer().serialize() }

    /// The file, opened from memory.
    package func file() throws -> GGUFFile { try GGUFFile(bytes: bytes()) }

    /// Writes the file into a folder and gives its path.
    @discardableResult
    package func write(to directory: TemporaryDirectory, name: String = "toy.gguf") throws -> String {
        let path = directory.path(name)
        try writer().write(to: path)
        return path
    }
}
