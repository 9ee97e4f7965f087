package import Engine

extension GGUFLanguageModel {
    /// The engine's model; nil when another backend stands in for it.
    package var engine: Model? { (backend as? EngineBackend)?.model }
}
