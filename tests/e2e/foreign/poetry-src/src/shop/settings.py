from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_", env_file=".env")

    database_url: str = "postgresql+asyncpg://localhost/shop"
    currency: str = "EUR"


settings = Settings()
