# SPDX-License-Identifier: Apache-2.0
"""Replies about a job or the service's state, in their published forms, misspellings included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dreambooth.sandbox.published import ENTERPRISE, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_dreambooth.sandbox.jobs import Job
    from airflow_provider_dreambooth.sandbox.orders import Order


def fetch_success(dialect: str, job: Job, output: object) -> Reply:
    """A finished fetch. The service tells seed and prompt only in the reply to the submit, never here."""
    # The flag is of the newer replies; when exactly they have it is not known.
    flag = {"nsfw_content_detected": True} if dialect == "v6" and job.order.censored else {}
    return {"status": "success", "id": job.number, "output": output, **flag}


def submit_processing(dialect: str, job: Job, base: str, links: Sequence[str]) -> Reply:
    """What a queued submit answers in dialect ``v3``, ``v4`` or ``v6``."""
    if dialect == "v3":
        return {
            "status": "processing",
            "tip": "for faster speed, keep resolution upto 512x512",
            "eta": job.eta,
            "messege": "Try to fetch request after given estimated time",
            "fetch_result": f"{base}/api/v3/dreambooth/fetch/{job.request_id}",
            "id": job.number,
            "output": [],
        }
    if dialect == "v4":
        return {
            "status": "processing",
            "tip": "Your image is processing in background, you can get this image using fetch API",
            "eta": job.eta,
            "messege": "Try to fetch request after seconds estimated",
            "webhook_status": "",
            # One number space for all dialects: a v4 submit names the v3 URL.
            "fetch_result": f"{base}/api/v3/dreambooth/fetch/{job.request_id}",
            "id": job.number,
            "output": [],
            "meta": _meta_v4(job),
            "future_links": list(links),
        }
    order = job.order
    meta = {
        "id": job.request_id,  # a string here, an int at the top
        "prompt": order.prompt,
        "model_id": order.model_id,
        "seed": order.seed,
        "output": list(links),
    }
    return {
        "status": "processing",
        "tip": ENTERPRISE,
        "tip_1": "Your image is processing in background",
        "eta": job.eta,
        "messege": "Try to fetch request after seconds estimated",
        "webhook_status": "",
        "fetch_result": f"{base}/api/v6/images/fetch/{job.request_id}",
        "id": job.number,
        "output": [],
        "meta": meta,
        "future_links": list(links),
    }


def submit_success(dialect: str, job: Job, output: object) -> Reply:
    """What a submit answers whose pictures were ready at once."""
    if dialect == "v6":
        return {
            "status": "success",
            "generationTime": job.run_time,
            "id": job.number,
            "output": output,
            "proxy_links": output,
            "nsfw_content_detected": job.order.censored,
            "webhook_status": "",
            "meta": _meta_newer(job),
            "tip": ENTERPRISE,
        }
    return {
        "status": "success",
        "generationTime": job.run_time,
        "id": job.number,
        "output": output,
        "meta": _meta_success_v4(job),
    }


def model(model_id: str, status: str, base: str) -> Reply:
    """One entry of the list of models."""
    return {
        "model_id": model_id,
        "status": status,
        "created_at": None,
        "instance_prompt": f"{model_id} style",
        "model_name": model_id.replace("-", " ").title(),
        "description": "A model of the sandbox",
        "screenshots": f"{base}/pictures/models/{model_id}.png",
    }


def system_load(queued: int, seconds: float) -> Reply:
    """How many jobs wait or run, and for how many seconds."""
    return {"queue_num": queued, "queue_time": round(seconds), "status": "ok"}


def request_count(count: int) -> Reply:
    """Not published: the sandbox's guess."""
    return {"status": "success", "request_count": count}


def model_reload(model_id: str) -> Reply:
    """Not published: the sandbox's guess."""
    return {"status": "success", "message": "Model reload started, it takes 2 minutes", "model_id": model_id}


def _meta_v4(job: Job) -> Reply:
    order = job.order
    return {
        "prompt": order.prompt,
        "model_id": order.model_id,
        "negative_prompt": order.negative_prompt,
        "scheduler": order.scheduler,
        "safety_checker": order.safety_checker,
        **_drawn(order),
        "tomesd": "yes",
        "use_karras_sigmas": "yes",
        "embeddings": None,
        "vae": None,
        "lora": order.lora_model,
        "lora_strength": order.lora_strength,
        "clip_skip": order.clip_skip,
        "temp": order.temp,
        "base64": order.yes_no_base64,
        "file_prefix": f"{job.file_prefix}.png",
    }


def _meta_success_v4(job: Job) -> Reply:
    order = job.order
    return {
        "prompt": order.prompt,
        "model_id": order.model_id,
        "negative_prompt": order.negative_prompt,
        "scheduler": order.scheduler,
        "safetychecker": order.safety_checker,
        **_drawn(order),
        "full_url": "no",
        "upscale": "no",
        "multi_lingual": "no",
        "panorama": "no",
        "self_attention": "no",
        "embeddings": None,
        "lora": order.lora_model,
        "outdir": "out",
        "file_prefix": job.file_prefix,
    }


def _meta_newer(job: Job) -> Reply:
    order = job.order
    return {
        "prompt": order.prompt,
        "model_id": order.model_id,
        "safety_checker": order.safety_checker,
        "W": order.width,
        "H": order.height,
        "seed": order.seed,
        "steps": order.steps,
        "n_samples": order.samples,
        "instant_response": "no",
        "safety_checker_type": "sensitive_content_text",
        "lora": order.lora_model,
        "lora_strength": order.lora_strength,
        "clip_skip": order.clip_skip,
        "temp": order.temp,
        "base64": order.yes_no_base64,
        "file_prefix": f"{job.file_prefix}.png",
    }


def _drawn(order: Order) -> Reply:
    return {
        "W": order.width,
        "H": order.height,
        "guidance_scale": order.guidance_scale,
        "seed": order.seed,
        "steps": order.steps,
        "n_samples": order.samples,
    }
