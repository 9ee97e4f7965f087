import Engine
package import GGUF

/// Where the rounding of a model's matrices learns from a text what errors cost.
///
/// Hessians take memory (columns² floats for each input of each layer, for each expert), so they are made for some
/// matrices at a time: the model reads the whole text once for each such group.
package final class ErrorCompensator {
    private let run: CalibrationRun
    private let matrices: ObservedMatrices
    /// Tensor → the tensor whose name stands for the rows that both meet.
    private let inputs: [String: String]
    private let memory: Int
    private let progress: (Int, Int) -> Bool
    private var group = HessianCollector(wanted: [:])
    /// Names the text.
    let fingerprint: String
    /// Matrices (of a stack: members) that were rounded with compensation, and those that too few tokens reached.
    package private(set) var compensated = 0
    package private(set) var skipped = 0

    /// Fewer rows than this say too little about a matrix, so that it is rounded plainly.
    static let minimumRows = 32

    /// - Parameters:
    ///   - file: the source of the quantization, which must be able to run.
    ///   - memory: bytes that the Hessians of one group may take; one Hessian is made in any case.
    ///   - progress: called while the model reads, with the tokens read so far and all tokens; false stops.
    /// - Throws: `EngineError` where the model cannot run, `CalibrationError.nothingSeen`.
    package init(
        _ file: GGUFFile, text: CalibrationText, threads: Int, memory: Int = 4 << 30,
        progress: @escaping (Int, Int) -> Bool = { _, _ in true }
    ) throws {
        run = try CalibrationRun(file, text: text, threads: threads)
        matrices = ObservedMatrices(file)
        self.memory = memory
        self.progress = progress
        let map = InputMap(matrices)
        try run.run(map, limit: CalibrationText.minimumTokens)
        inputs = map.all
        guard !inputs.isEmpty else { throw CalibrationError.nothingSeen }
        var hash = FNV1a()
        for piece in text.pieces { hash.add(piece.map(String.init).joined(separator: " ")) }
        fingerprint = String(hash.value, radix: 16)
    }

    /// What is known about one matrix of a tensor; nil where the text says too little about it.
    /// - Parameter tensors: those that will be asked for next, this one first, so that one reading serves several.
    /// - Throws: `EngineError`, `CalibrationError.cancelled`.
    func compensation(for tensor: String, member: Int, tensors: some Sequence<String>) throws -> Compensation? {
        guard let input = inputs[tensor] else { return nil }
        if !group.covers(input, member) {
            group = HessianCollector(wanted: [:])  // frees the memory first
            let next = HessianCollector(wanted: plan(from: member, tensors))
            try run.run(next, progress: progress)
            group = next
        }
        guard let hessian = group.hessian(input, member), hessian.rowCount >= Self.minimumRows,
            let compensation = hessian.compensation
        else {
            skipped += 1
            return nil
        }
        compensated += 1
        return compensation
    }

    /// As many Hessians as the memory has room for.
    private func plan(from member: Int, _ tensors: some Sequence<String>) -> [String: Range<Int>] {
        var wanted: [String: Range<Int>] = [:]
        var left = memory
        var first = member
        for tensor in tensors {
            defer { first = 0 }
            guard let input = inputs[tensor], let shape = matrices.shapes[tensor], wanted[input] == nil else {
                continue
            }
            let size = Hessian.bytes(columns: shape.columns)
            let count = min(shape.members - first, max(left / size, wanted.isEmpty ? 1 : 0))
            guard count > 0 else { break }
            wanted[input] = first..<first + count
            left -= count * size
            if first + count < shape.members { break }
        }
        return wanted
    }
}
