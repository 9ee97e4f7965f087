import Engine
import Foundation
import InferKit
import Tokenization

/// A loaded model with everything that requests need of it.
final class ServedModel: Sendable {
    /// The name under which it is listed.
    let name: String
    let path: String
    let scheduler: Scheduler
    let information: ModelInformation
    let model: GGUFLanguageModel

    init(
        name: String, path: String, configuration: GGUFLanguageModel.Configuration, limits: Scheduler.Limits,
        log: @escaping @Sendable (String) -> Void
    ) throws {
        self.name = name
        self.path = path
        model = try GGUFLanguageModel(servedPath: path, configuration: configuration)
        tokenizer = try model.tokenizer
        information = model.information
        scheduler = try Scheduler(model, limits: limits, log: log)
    }

    let tokenizer: Tokenizer
    var contextLength: Int { scheduler.contextLength }

    /// The text of a token by itself; bytes that are no character become U+FFFD.
    func text(of token: Int32) -> String { String(decoding: bytes(of: token), as: UTF8.self) }

    func bytes(of token: Int32) -> [UInt8] { tokenizer.bytes(of: token, renderSpecial: true) }

    /// The tokens of a prompt that is plain text.
    func tokens(ofText text: String) -> [Int32] {
        var tokens = tokenizer.encode(text, addSpecial: true, parseSpecial: true)
        if tokenizer.addEOS, tokens.last == tokenizer.eos { tokens.removeLast() }
        return tokens
    }
}
