import Foundation
import InferKit

/// Text to tokens, one thread. No peak bounds it; its share of the memory bandwidth says how far it is from mattering.
func measureTokenizer(_ harness: inout Harness) {
    guard harness.isWanted("tokenizer", "text", "") else { return }
    let path = harness.options.model ?? shippedModel()
    guard let path, let model = try? GGUFLanguageModel(path: path) else {
        FileHandle.standardError.write(Data("no model for the tokenizer: name one with --model\n".utf8))
        return
    }
    let texts = [
        ("prose", "One evening, a little fox named Rusty walked home through the wood. \"Who is there?\" he asked.\n"),
        ("code", "for (int i = 0; i < 42; i++) { total += values[i] * 3.5e-2; } // see issue #17\n"),
    ]
    for (name, line) in texts {
        let text = String(repeating: line, count: harness.options.isQuick ? 10 : 5000)
        harness.measure(
            "tokenizer", "\(name), \(text.utf8.count) bytes", isa: "-",
            work: Work(bytes: Double(text.utf8.count), macs: 0, kind: .int8), threads: 1
        ) { _ in precondition(!model.tokenize(text).isEmpty) }
    }
}

/// The model of the repository, looked for upwards from here.
private func shippedModel() -> String? {
    var folder = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
    for _ in 0..<4 {
        let models = folder.appendingPathComponent("models")
        let files = (try? FileManager.default.contentsOfDirectory(atPath: models.path)) ?? []
        if let file = files.sorted().first(where: { $0.hasSuffix(".gguf") }) {
            return models.appendingPathComponent(file).path
        }
        folder.deleteLastPathComponent()
    }
    return nil
}
