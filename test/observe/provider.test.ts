import assert from 'node:assert/strict'
import { test } from 'node:test'
import { providerOf } from '../../sidecar/observe/provider.ts'

test('a provider is known by its host, in the words of OpenTelemetry; a host that is not known stands for itself', () => {
  const hosts = {
    'api.openai.com': 'openai',
    'eu.api.openai.com': 'openai',
    'mine.openai.azure.com': 'azure.ai.openai',
    'mine.services.ai.azure.com': 'azure.ai.inference',
    'api.anthropic.com': 'anthropic',
    'bedrock-runtime.us-east-1.amazonaws.com': 'aws.bedrock',
    'generativelanguage.googleapis.com': 'gcp.gemini',
    'europe-west1-aiplatform.googleapis.com': 'gcp.vertex_ai',
    'api.deepseek.com': 'deepseek',
    'api.groq.com': 'groq',
    'api.mistral.ai': 'mistral_ai',
    'api.cohere.com': 'cohere',
    'api.x.ai': 'x_ai',
    'api.perplexity.ai': 'perplexity',
    'api.moonshot.cn': 'moonshot_ai',
    'us-south.ml.cloud.ibm.com': 'ibm.watsonx.ai',
    'API.OpenAI.com': 'openai',
    'api.holysheep.ai': 'api.holysheep.ai',
    'notopenai.com': 'notopenai.com',
    'openai.com.evil.example': 'openai.com.evil.example',
    '127.0.0.1': '127.0.0.1',
  }
  for (const [host, provider] of Object.entries(hosts)) assert.equal(providerOf(host), provider, host)
})
