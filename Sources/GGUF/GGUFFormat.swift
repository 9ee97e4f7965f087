// Constants of the container and the limits this reader sets.
//
// Source of the layout: the GGUF specification (ggml repository, docs/gguf.md) and the `gguf` Python package 0.19.

/// Fixed numbers of the format.
package enum GGUFFormat {
    /// The first four bytes of every file, in both byte orders.
    package static let magic: [UInt8] = Array("GGUF".utf8)
    /// The version this package writes.
    package static let writtenVersion = 3
    /// The versions this package reads. Version 1 had 32-bit counts and no file in use has it.
    package static let readableVersions = 2...3
    /// Tensor data is aligned to this many bytes unless `general.alignment` says otherwise.
    package static let defaultAlignment = 32
    package static let alignmentKey = "general.alignment"
    package static let architectureKey = "general.architecture"
}

/// What a file may claim before it is refused. Each limit is far above any real file; together with the file's own
/// size they bound the time and the memory that parsing can take.
package enum GGUFLimits {
    /// Number of metadata keys. Real files have fewer than a hundred.
    package static let metadataEntries = 1 << 16
    /// Number of tensors in one part. The largest files, with one tensor per expert, have some seventy thousand.
    package static let tensors = 1 << 17
    /// Length of a key in bytes, as in the specification.
    package static let keyBytes = 65_535
    /// Length of a tensor's name in bytes, as in the specification. ggml itself stops at 63.
    package static let tensorNameBytes = 64
    /// Elements of all metadata arrays together; an array within an array counts as `weightOfArray`. Real files have
    /// about a million. A file can be larger than memory at no cost (it
    /// may be sparse), so its size alone is no bound.
    package static let arrayElements = 1 << 25
    package static let weightOfArray = 8
    /// Bytes of all metadata strings together. Real files have some ten million.
    package static let textBytes = 1 << 28
    /// Depth of arrays within arrays; 1 is an array of scalars.
    package static let arrayDepth = 8
    /// Dimensions of a tensor: `GGML_MAX_DIMS`.
    package static let dimensions = 4
    /// Smallest alignment: the specification asks for a multiple of 8, and a power of two is needed to round up.
    package static let minimumAlignment = 8
    /// Largest alignment: a huge page.
    package static let maximumAlignment = 1 << 21
    /// Parts of a split file: the counters are 16 bits wide.
    package static let splitParts = 65_535
}
