package import Engine
package import Tokenization

extension GGUFLanguageModel {
    /// The engine's model; nil when another backend stands in for it.
    package var engine: Model? { (backend as? EngineBackend)?.model }

    /// The model's own tokenizer, beyond what ``tokenize(_:addSpecial:parseSpecial:)`` offers.
    /// - Throws: ``ServingError`` when another backend stands in for the engine.
    package var tokenizer: Tokenizer {
        get throws(ServingError) {
            guard let backend = backend as? EngineBackend else {
                throw .invalidOption("the model does not run on the engine")
            }
            return backend.tokenizer
        }
    }
}
