import ChatTemplates
import Engine
import GGUF
import ModelTools
import Tokenization

/// What `infer inspect --strict` finds: everything that keeps a file from being a sound model of its family.
struct ValidationReport: Encodable {
    let path: String
    let architecture: String?
    let tensors: Int
    private(set) var problems: [String] = []

    /// - Parameter progress: called with the bytes read so far and all there are.
    init(_ file: GGUFFile, threads: Int, progress: (Int, Int) -> Void) {
        path = file.path
        architecture = file.metadata[GGUFFormat.architectureKey]?.stringValue
        tensors = file.tensors.count
        for fault in Model.faults(of: file) {
            if case .unexpectedTensors(let names) = fault {
                problems += names.map { "tensor '\($0)' is not one of this architecture's" }
            } else {
                problems.append(fault.description)
            }
        }
        // A file without a vocabulary still computes logits.
        if file.metadata.contains("tokenizer.ggml.model") {
            do { _ = try Tokenizer(file.metadata) } catch { problems.append("tokenizer: \(error)") }
        }
        for key in file.metadata.keys where key.hasPrefix("tokenizer.chat_template") {
            guard let source = file.metadata[key]?.stringValue else { continue }
            do { _ = try ChatTemplate(source: source) } catch { problems.append("metadata key '\(key)': \(error)") }
        }
        let scanner = TensorScanner(threads: threads)
        let total = file.tensors.reduce(0) { $0 + $1.byteCount }
        var done = 0
        for tensor in file.tensors {
            progress(done, total)
            done += tensor.byteCount
            guard let moments = scanner.statistics(of: tensor)?.moments else { continue }
            let spoilt = [(moments.nans, "NaN"), (moments.infinities, "infinite")].filter { $0.0 > 0 }
            guard !spoilt.isEmpty else { continue }
            let counts = spoilt.map { "\($0.0) \($0.1)" }.joined(separator: " and ")
            problems.append("tensor '\(tensor.name)' has \(counts) of \(tensor.elementCount) values")
        }
    }

    var text: String {
        let subject = "\(path.printable()): \(architecture?.printable(limit: 60) ?? "no architecture")"
        guard !problems.isEmpty else { return "\(subject), \(tensors) tensors, no problem found" }
        let lines = problems.map { "  \($0.printable(limit: 400))" }
        return (["\(subject), \(problems.count) problem\(problems.count == 1 ? "" : "s")"] + lines)
            .joined(separator: "\n")
    }
}
